"""One module a member; the recipe, the shared training loop, the export."""
