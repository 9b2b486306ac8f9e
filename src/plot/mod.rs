//! Numbers to figures: figures as plain data, themes, and one renderer.
