//! TLS sessions to resume: one store a lane.
//!
//! What must hold: the servers remembered are at most [`TLS_SESSIONS_MAX`], the one added first goes first, and what the
//! limit drops is counted; of a server the newest tickets are kept, each handed out once (RFC 8446 C.4).
//!
//! Deliberately absent: expiry (rustls looks at a ticket's age when it is taken) and persistence (sessions are soft state).

use crate::limits::{TLS_SESSIONS_MAX, TLS_TICKETS_PER_SERVER};
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is remembered of one server.
#[derive(Default)]
struct Known {
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    /// Oldest first.
    tls13: VecDeque<Tls13ClientSessionValue>,
}

#[derive(Default)]
struct Inner {
    known: HashMap<ServerName<'static>, Known>,
    /// The same names, in the order they were added.
    order: VecDeque<ServerName<'static>>,
    dropped: u64,
}

/// Sessions of one lane. Only its thread uses it; the lock is what rustls asks of a store, and never waits.
pub(super) struct Sessions {
    inner: Mutex<Inner>,
    servers_max: usize,
}

impl Default for Sessions {
    fn default() -> Self {
        Self::with_limit(TLS_SESSIONS_MAX)
    }
}

impl Sessions {
    fn with_limit(servers_max: usize) -> Self {
        Self {
            inner: Mutex::default(),
            servers_max,
        }
    }

    /// Servers forgotten for the limit so far.
    pub fn dropped(&self) -> u64 {
        self.inner().dropped
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known of a server, and makes room for it where nothing was.
    fn edit(&self, name: ServerName<'static>, change: impl FnOnce(&mut Known)) {
        let inner = &mut *self.inner();
        if !inner.known.contains_key(&name) {
            while inner.order.len() >= self.servers_max {
                let Some(oldest) = inner.order.pop_front() else {
                    return;
                };
                inner.known.remove(&oldest);
                inner.dropped += 1;
            }
            inner.order.push_back(name.clone());
        }
        change(inner.known.entry(name).or_default());
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The sessions themselves are secrets.
        f.debug_struct("Sessions")
            .field("servers", &self.inner().order.len())
            .finish()
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.edit(name, |known| known.group = Some(group));
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.inner().known.get(name)?.group
    }

    fn set_tls12_session(&self, name: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.edit(name, |known| known.tls12 = Some(session));
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.inner().known.get(name)?.tls12.clone()
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        if let Some(known) = self.inner().known.get_mut(name) {
            known.tls12 = None;
        }
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.edit(name, |known| {
            if known.tls13.len() >= TLS_TICKETS_PER_SERVER {
                known.tls13.pop_front();
            }
            known.tls13.push_back(ticket);
        });
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.inner().known.get_mut(name)?.tls13.pop_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: usize) -> ServerName<'static> {
        ServerName::try_from(format!("h{n}.test")).unwrap()
    }

    #[test]
    fn the_oldest_server_goes_and_is_counted() {
        let sessions = Sessions::with_limit(3);
        for n in 0..5 {
            sessions.set_kx_hint(name(n), NamedGroup::X25519);
            sessions.set_kx_hint(name(n), NamedGroup::secp256r1);
        }
        assert_eq!(sessions.dropped(), 2);
        let known: Vec<bool> = (0..5)
            .map(|n| sessions.kx_hint(&name(n)) == Some(NamedGroup::secp256r1))
            .collect();
        assert_eq!(known, [false, false, true, true, true]);
        assert_eq!(sessions.inner().known.len(), 3);
    }

    #[test]
    fn a_store_without_room_keeps_nothing() {
        let sessions = Sessions::with_limit(0);
        sessions.set_kx_hint(name(0), NamedGroup::X25519);
        assert_eq!(sessions.kx_hint(&name(0)), None);
        assert!(sessions.take_tls13_ticket(&name(0)).is_none());
    }
}
