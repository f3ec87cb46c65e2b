//! Tasks, threads and the queues between them. None knows what it carries. Of all there is one copy
//! in the program, whatever a task does and a queue holds: that is what they are here for.

pub(crate) mod executor;
pub mod queue;
pub(crate) mod thread;

/// Keeps a value for as long as the process lasts, as all tasks share it. To count in each of them
/// who does, and to take it apart in the end, would only be code.
pub(crate) fn lasting<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}
