//! `strict_mode_spoofing`: a result's host name must resolve to the address that it comes from.
//!
//! This guards against one client sending results in another's name. It needs a resolver that answers for every host
//! name of the core, and fails where agents send through a relay, as it does in stock nsca.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// How long the resolver may take for one name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How many names one connection remembers the verdict of.
const MAX_REMEMBERED: usize = 1024;

/// The verdicts about one peer's host names, for one connection.
pub(crate) struct Spoofing {
    peer: IpAddr,
    verdicts: BTreeMap<Vec<u8>, bool>,
}

impl Spoofing {
    pub(crate) fn new(peer: IpAddr) -> Self {
        Spoofing { peer: peer.to_canonical(), verdicts: BTreeMap::new() }
    }

    /// Whether `host` resolves to the peer's address.
    pub(crate) async fn allows(&mut self, host: &[u8]) -> bool {
        if let Some(&verdict) = self.verdicts.get(host) {
            return verdict;
        }
        let verdict = match std::str::from_utf8(host) {
            Ok(name) => resolves_to(name, self.peer).await,
            Err(_) => false,
        };
        if self.verdicts.len() < MAX_REMEMBERED {
            self.verdicts.insert(host.to_vec(), verdict);
        }
        verdict
    }
}

async fn resolves_to(name: &str, peer: IpAddr) -> bool {
    // The resolver wants a port; any will do.
    let lookup = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((name, 0)));
    match lookup.await {
        Ok(Ok(mut addresses)) => addresses.any(|address| address.ip().to_canonical() == peer),
        Ok(Err(_)) | Err(_) => false,
    }
}
