//! Who may come in: the shared secret, proxies, origins, devices, limits on guessing, and the one decision over all of them.
//!
//! Decisions are plain functions; the only state is `Auth`: the secrets in force and the counters of failed attempts.

pub mod decide;
pub mod device;
pub mod http_gates;
pub mod in_force;
pub mod limits;
pub mod locality;
pub mod origin;
pub mod refusal;
pub mod request;
pub mod shared_secret;
pub mod trusted_proxy;

pub use in_force::Auth;
