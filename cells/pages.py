"""HTML pages that need no other file: a template says what is on one, page.html how it looks."""

import jinja2


def page_template(room: str, name: str) -> jinja2.Template:
    """The template `name` of a room (a package of ours), which may extend page.html."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(each, "") for each in (room, "cells")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
