"""Templates to text, in a process of its own: a template is somebody's program."""
