"""From the members' predictions to the bundle that is uploaded."""
