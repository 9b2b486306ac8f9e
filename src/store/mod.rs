//! The run store: `runs/<id>/` is the truth, the SQLite index is derived from it.
