"""The rules of journeys, plain: definitions, their checks, and the walk of one instance."""
