"""The text of a project: characters, grammar, syntax tree and canonical layout."""
