//! How many files this process may have open. Check: C117.

use hbb_core::base::limits::FILES_CEILING;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to what any settings may need, also later ones, as far as the hard limit
/// lets us; gives what is in force.
pub(crate) fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let ceiling = FILES_CEILING as u64;
    let target = maximum.map_or(ceiling, |maximum| maximum.min(ceiling));
    let Some(current) = current.filter(|current| *current < target) else {
        return current.map_or(usize::MAX, files);
    };
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(target), maximum });
    files(if raised.is_ok() { target } else { current })
}

fn files(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
