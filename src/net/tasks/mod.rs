//! Tasks, threads and the queues between them. None knows what it carries. Of all there is one copy
//! in the program, whatever a task does and a queue holds: that is what they are here for.

pub(crate) mod executor;
pub mod queue;
pub(crate) mod thread;
