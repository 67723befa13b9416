"""Apply: the state and its store, the journal, and the executor that makes a plan so."""
