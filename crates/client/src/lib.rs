//! Typed HTTP client of a mothership ([`Mothership`]), of the endpoints it keeps ([`Endpoint`]) and of a State Manager
//! ([`StateManager`]), shared by the command line, by the local provider and by endpoints calling each other.
//!
//! It knows nothing of where processes run, of retry loops (an [`Error`] only says whether another try makes sense:
//! [`Error::retry`]; only the State Manager's client heeds it by itself) or of pickles (bodies of binary calls pass
//! through as bytes).
//!
//! Start with `mothership.rs` and `endpoint.rs`; `transport.rs` is the one way a request is sent and an answer is read, `secure.rs` the
//! same by https, `forward.rs` the one way somebody else's request is passed on, `upgrade.rs` what becomes of its connection if it is a WebSocket's, `backoff.rs` how long to wait before another try.

mod backoff;
mod endpoint;
mod error;
mod forward;
mod mothership;
mod secure;
mod state;
mod trace;
mod transport;
mod upgrade;

pub use backoff::full_jitter;
pub use endpoint::{Endpoint, Ping};
pub use error::Error;
pub use forward::{ForwardError, Forwarder, ShownHost};
pub use mothership::{Fetched, Mothership, Reply};
pub use secure::TrustedRoots;
pub use state::StateManager;
pub use trace::set_trace;
pub use transport::Transport;
pub use upgrade::{WEBSOCKET, join, wants_websocket};
