//! How many connections and sessions the open files allow that this process may have: without any
//! left it could let nobody in, known or not, nor answer an operator. Check: C117.

use hbb_core::base::limits::{FILES_PER_THREAD, FILES_SPARE, Limits};
use log::warn;

/// What may be open, and what was promised of that.
pub(super) struct Files {
    limit: usize,
    /// What is for neither connections nor sessions.
    spare: usize,
    /// Connections and sessions that may be there, whatever a later limit says: places are never
    /// taken away, and nobody's session is ended.
    given: [usize; 2],
}

impl Files {
    /// A process of so many threads for sessions that may have `limit` files open.
    pub(super) const fn new(limit: usize, threads: usize) -> Self {
        Self { limit, spare: FILES_SPARE + FILES_PER_THREAD * threads, given: [0; 2] }
    }

    /// Brings limits into force as far as the open files allow, with a warning if that is not far
    /// enough. After the start all stays then that was given.
    pub(super) fn allow(&mut self, asked: Limits) -> Limits {
        // Where there are few, pipes are few too, as they are for sessions.
        let room = self.limit.saturating_sub(self.spare).max(self.limit / 4);
        let [connections, sessions] = self.given;
        let most = Limits {
            connections: asked.connections.max(connections),
            sessions: asked.sessions.max(sessions),
            ..asked
        };
        let fits = most.files() <= room;
        if fits || self.given == [0; 2] {
            let most = most.within_files(room);
            self.given = [most.connections, most.sessions];
        }
        let [connections, sessions] = self.given;
        let connections = connections.min(asked.connections);
        let sessions = sessions.min(asked.sessions);
        if !fits {
            warn!(
                "file-limit-low limit={} needed={} connections={connections} sessions={sessions} \
                 help=raise-nofile",
                self.limit,
                most.files() + self.spare
            );
        }
        Limits { connections, sessions, ..asked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(files: &mut Files, connections: usize, sessions: usize) -> [usize; 2] {
        let limits = files.allow(Limits { connections, sessions, ..Limits::default() });
        [limits.connections, limits.sessions]
    }

    #[test]
    fn c117_connections_and_sessions_shrink_in_proportion_and_a_few_remain() {
        let start = |limit| allowed(&mut Files::new(limit, 1), 256, 32);
        assert_eq!(start(420), [256, 32]);
        assert_eq!(start(419), [255, 31]);
        assert_eq!(start(260), [128, 16]);
        assert_eq!(start(64), [12, 2]);
        assert_eq!(start(0), [8, 2]);
        assert_eq!(allowed(&mut Files::new(0, 1), 5, 1), [5, 1], "no more than was asked for");
        assert_eq!(start(usize::MAX), [256, 32]);
    }

    #[test]
    fn c117_what_was_given_counts_after_a_reload() {
        let mut files = Files::new(1100, 1);
        assert_eq!(allowed(&mut files, 256, 32), [256, 32]);
        assert_eq!(allowed(&mut files, 900, 32), [900, 32]);
        assert_eq!(allowed(&mut files, 100, 32), [100, 32]);
        assert_eq!(allowed(&mut files, 100, 200), [100, 32], "900 places are still there");
        assert_eq!(allowed(&mut files, 2000, 50), [900, 32]);
        assert_eq!(allowed(&mut files, 900, 50), [900, 50]);
    }
}
