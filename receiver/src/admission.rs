//! Who may have a connection at this moment: limits in all and per peer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The limits and who holds what of them. An address that holds nothing costs nothing.
pub(crate) struct Admission {
    most: usize,
    most_per_peer: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    all: usize,
    by_peer: BTreeMap<IpAddr, usize>,
}

/// The right to one connection; it ends when it is dropped.
pub(crate) struct Pass {
    peer: IpAddr,
    held: Arc<Mutex<Held>>,
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("{0} connections are open, as many as max_connections allows")]
    InAll(usize),
    #[error("this peer has {0} connections open, as many as max_connections_per_peer allows")]
    ForPeer(usize),
}

impl Admission {
    pub(crate) fn new(most: usize, most_per_peer: usize) -> Self {
        Admission { most, most_per_peer, held: Arc::default() }
    }

    pub(crate) fn admit(&self, peer: IpAddr) -> Result<Pass, Full> {
        let mut held = lock(&self.held);
        if held.all >= self.most {
            return Err(Full::InAll(self.most));
        }
        let of_peer = held.by_peer.entry(peer).or_default();
        if *of_peer >= self.most_per_peer {
            return Err(Full::ForPeer(self.most_per_peer));
        }
        *of_peer += 1;
        held.all += 1;
        Ok(Pass { peer, held: self.held.clone() })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        held.all -= 1;
        if let Some(of_peer) = held.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                held.by_peer.remove(&self.peer);
            }
        }
    }
}

/// No operation on the counts can panic half-way, so a poisoned lock still holds true counts.
fn lock(held: &Mutex<Held>) -> std::sync::MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_per_peer_and_in_all_and_passes_come_back() {
        let admission = Admission::new(3, 2);
        let [a, b] = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse().unwrap());
        let first = admission.admit(a).unwrap();
        let _second = admission.admit(a).unwrap();
        assert_eq!(admission.admit(a).err(), Some(Full::ForPeer(2)));
        let _third = admission.admit(b).unwrap();
        assert_eq!(admission.admit(b).err(), Some(Full::InAll(3)));
        drop(first);
        let again = admission.admit(a).unwrap();
        drop((again, _second));
        assert!(!lock(&admission.held).by_peer.contains_key(&a));
    }
}
