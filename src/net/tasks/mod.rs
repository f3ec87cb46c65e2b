//! Tasks, the queues between them, and the queues between threads. Neither knows what it carries.
//! Of both there is one copy in the program, whatever a task does and a queue holds: that is what
//! they are here for.

pub(crate) mod executor;
pub mod queue;
