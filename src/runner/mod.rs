//! The runner: executes, resumes and reproduces runs, each in a worker process of its own.
