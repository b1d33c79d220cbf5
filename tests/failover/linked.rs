//! A standby and a master, and the network between them.

use crate::SOON;
use crate::node::Node;
use crate::support::proxy::Proxy;
use crate::support::wait::until_within;

/// What a standby has that listens to the master's heartbeat; more lines for `[failover.heartbeat]` may follow.
pub const HEARTBEAT: &str = "[failover.heartbeat]\nnode = \"master\"\n";

/// What a command to the core that begins to notify looks like in its log, and one to the core that ends it.
pub const ENABLE: &str = "EXTERNAL COMMAND: ENABLE_NOTIFICATIONS";

/// Both nodes. The master sends through the network.
pub struct Linked {
    pub master: Node,
    pub standby: Node,
    pub network: Proxy,
}

impl Linked {
    /// Starts everything. `settings` are for the master's core, `more` is for its daemon, as in [`Node::master`].
    #[track_caller]
    pub fn start(mut standby: Node, settings: &str, more: &str) -> Self {
        let network = Proxy::start();
        network.lead_to(standby.address.unwrap());
        let mut master = Node::master(network.address(), settings, more);
        standby.core.start();
        standby.start();
        master.core.start();
        master.start();
        let linked = Linked { master, standby, network };
        linked.wait_for("alive");
        linked
    }

    /// Waits until the master's heartbeat means this to the standby.
    #[track_caller]
    pub fn wait_for(&self, heartbeat: &str) {
        self.standby.wait_for(heartbeat, |failover| failover.heartbeat.as_deref() == Some(heartbeat));
    }

    /// Waits until one more session has begun than `before`, and the master is heard in it.
    #[track_caller]
    pub fn wait_for_session_after(&self, before: usize) {
        until_within(SOON, "another session", || (self.sessions() > before).then_some(()));
        self.wait_for("alive");
    }

    /// How many sessions have begun since the standby's daemon was started.
    pub fn sessions(&self) -> usize {
        self.standby.daemon.as_ref().expect("it runs").said().matches("sealed session begun").count()
    }

    /// The standby has done nothing at all: it was suspicious at most.
    #[track_caller]
    pub fn assert_nothing_happened(&self) {
        let failover = self.standby.failover();
        let suspicions = ["standby", "suspect"];
        assert!(
            failover.transitions.iter().all(|transition| suspicions.contains(&transition.to.as_str())),
            "{:?}",
            failover.transitions
        );
        assert!(suspicions.contains(&failover.state.as_str()), "{}", failover.state);
        assert!(!self.standby.core.log().contains(ENABLE));
    }
}
