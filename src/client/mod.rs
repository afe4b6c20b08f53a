//! The client of the gateway's WebSocket protocol: what the command line and the tests talk through.
//!
//! One connection, no task of its own: frames are read while somebody waits for something, so nothing outlives the value. Every
//! wait has a deadline. Does not reconnect: a command that lost its gateway says so.

mod call;
mod connect;
mod device_auth;
mod endpoint;
mod error;
pub mod knock;
pub mod lock_owner;
pub mod run_file;
mod wire;

pub use call::Client;
pub use connect::ConnectOptions;
pub use device_auth::{load_device_token, store_device_token};
pub use endpoint::{Endpoint, EndpointError, EndpointInputs, GivenCredentials, UrlSource};
pub use error::ClientError;
pub use lock_owner::LockOwner;
pub use run_file::RunFile;
