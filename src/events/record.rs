//! A record: one event with its id, time, node and party. It is owned, and serializes to one flat JSON object.

use super::Event;
use crate::{
    clock::{Clock as _, SystemClock},
    name::{TenantName, UserName},
};
use parking_lot::Mutex;
use serde::Serialize;
use std::{net::SocketAddr, sync::Arc};
use time::OffsetDateTime;
use uuid::{ContextV7, Timestamp, Uuid};

/// One recorded event.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// A UUIDv7 (RFC 9562, section 5.7): unique, and ordered by time on one node.
    pub(crate) id: Uuid,
    /// The node's wall-clock time.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
    /// The name of the node that recorded it.
    pub(crate) node: Arc<str>,
    /// The party concerned.
    #[serde(flatten)]
    pub who: Who,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// A user of a tenant.
pub(super) type UserKey = (TenantName, UserName);

/// The party that an event concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Who {
    /// A session of a user.
    Session(Arc<SessionUser>),
    /// A connection before its user's login.
    Connection(ConnectionPeer),
    /// The server itself, on behalf of a tenant, or of one user if the work concerns one user's file.
    Maintenance {
        /// The tenant whose bucket is maintained.
        tenant: TenantName,
        /// The user whose work the server repairs.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<UserName>,
    },
    /// The server as a whole.
    Server {},
}

/// The user of a session, and the address of its client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionUser {
    /// The session's id: the connection's id, `-` and the number of the channel, as in `5f0c9a1be2d34c77-1`. A login,
    /// and another event of the connection, has only the connection's id.
    pub session: Arc<str>,
    /// The tenant that the user belongs to.
    pub(crate) tenant: TenantName,
    /// The user that logged in.
    pub user: UserName,
    /// The client's address.
    pub(crate) source: SocketAddr,
    /// The VPC endpoint that the connection came through, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vpc_endpoint: Option<Arc<str>>,
}

/// The client's end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionPeer {
    /// The connection's id. `None` if the server refused the connection before it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connection: Option<Arc<str>>,
    /// The client's address.
    pub(crate) source: SocketAddr,
    /// The VPC endpoint that the connection came through, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vpc_endpoint: Option<Arc<str>>,
}

/// Keeps the ids of one process in order, also within a millisecond.
static IDS: Mutex<ContextV7> = Mutex::new(ContextV7::new());

impl Record {
    /// Creates a record of `event` at the current time.
    pub(super) fn new(node: Arc<str>, who: Who, event: Event) -> Self {
        // The lock comes before the look at the clock, so that ids and times have one order.
        let ids = IDS.lock();
        let at = OffsetDateTime::from(SystemClock.now());
        let id = id(&ids, at);
        drop(ids);
        Self { id, at, node, who, event: event.truncated() }
    }
}

/// Returns an id whose time is `at`.
fn id(ids: &ContextV7, at: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(at.unix_timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(ids, seconds, at.nanosecond()))
}

impl Who {
    /// Returns the client's address and VPC endpoint, or `None` for work of the server.
    pub(crate) fn peer(&self) -> Option<(SocketAddr, Option<&Arc<str>>)> {
        match self {
            Self::Session(user) => Some((user.source, user.vpc_endpoint.as_ref())),
            Self::Connection(peer) => Some((peer.source, peer.vpc_endpoint.as_ref())),
            Self::Maintenance { .. } | Self::Server {} => None,
        }
    }

    /// Returns the tenant and the user, or `None` for a connection and for maintenance that concerns no user.
    pub(crate) fn user(&self) -> Option<(&TenantName, &UserName)> {
        match self {
            Self::Session(user) => Some((&user.tenant, &user.user)),
            Self::Maintenance { tenant, user: Some(user) } => Some((tenant, user)),
            Self::Connection(_) | Self::Maintenance { user: None, .. } | Self::Server {} => None,
        }
    }
}
