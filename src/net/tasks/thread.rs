//! Starts threads, by one copy of the code for whatever they do.

use std::io;
use std::thread::Builder;

/// Starts a thread that nobody waits for, with so many bytes of stack.
///
/// # Errors
/// What the system says if it has none to give.
pub(crate) fn start(
    name: &str,
    stack_bytes: usize,
    work: Box<dyn FnOnce() + Send>,
) -> io::Result<()> {
    Builder::new().name(name.into()).stack_size(stack_bytes).spawn(work)?;
    Ok(())
}
