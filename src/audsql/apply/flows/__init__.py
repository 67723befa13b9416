"""Running flows: who enters, who is due, what happens to each of them. Normative: specs/flows.md."""
