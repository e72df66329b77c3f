//! A record: one thing that happened, with its id, its time, its node and its party. Owned, and serializable as one flat
//! JSON object.

use super::Event;
use crate::{
    clock::{Clock as _, SystemClock},
    name::{TenantName, UserName},
};
use serde::Serialize;
use std::{net::SocketAddr, sync::Arc};
use time::OffsetDateTime;
use uuid::Uuid;

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// A UUIDv7 (RFC 9562, section 5.7): unique, and in the order of time on one node.
    pub id: Uuid,
    /// The node's wall-clock time.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The name of the node that recorded it.
    pub node: Arc<str>,
    /// The party that it is about.
    #[serde(flatten)]
    pub who: Who,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// The party that an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Who {
    /// A session of a user.
    Session(Arc<SessionUser>),
    /// A connection, whether its user is logged in or not.
    Connection(ConnectionPeer),
    /// The server itself, for a tenant, and for one of its users where it is one user's file.
    Maintenance {
        /// The tenant whose bucket is maintained.
        tenant: TenantName,
        /// The user who began what is put right.
        user: Option<UserName>,
    },
}

/// The user of a session, and the way that it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionUser {
    /// The session's id: the connection's and, behind a `-`, the number of the channel, `5f0c9a1be2d34c77-1`. A login has
    /// the connection's id alone.
    pub session: Arc<str>,
    /// The tenant that the user belongs to.
    pub tenant: TenantName,
    /// The user that logged in.
    pub user: UserName,
    /// The client's address.
    pub source: SocketAddr,
    /// The VPC endpoint that the connection came through, if through any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_endpoint: Option<Arc<str>>,
}

/// The client's end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionPeer {
    /// The connection's id; `None` if it was refused before it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<Arc<str>>,
    /// The client's address.
    pub source: SocketAddr,
    /// The VPC endpoint that the connection came through, if through any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_endpoint: Option<Arc<str>>,
}

impl Record {
    /// A record of `event`, at the current time.
    pub(super) fn new(node: Arc<str>, who: Who, event: Event) -> Self {
        Self { id: Uuid::now_v7(), at: SystemClock.now().into(), node, who, event }
    }
}

impl Who {
    /// The client's address and VPC endpoint; `None` for maintenance.
    pub(super) fn peer(&self) -> Option<(SocketAddr, Option<&Arc<str>>)> {
        match self {
            Self::Session(user) => Some((user.source, user.vpc_endpoint.as_ref())),
            Self::Connection(peer) => Some((peer.source, peer.vpc_endpoint.as_ref())),
            Self::Maintenance { .. } => None,
        }
    }

    /// The tenant and the user; `None` for a connection, or for maintenance of no user's file.
    pub(super) fn user(&self) -> Option<(&TenantName, &UserName)> {
        match self {
            Self::Session(user) => Some((&user.tenant, &user.user)),
            Self::Maintenance { tenant, user: Some(user) } => Some((tenant, user)),
            Self::Connection(_) | Self::Maintenance { user: None, .. } => None,
        }
    }
}
