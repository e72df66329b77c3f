//! A request for a role, as its errors describe it.

use super::Error;
use crate::{
    account::{Role, RoleArn},
    clock::{Clock as _, SystemClock},
};
use aws_sdk_sts::{config::http::HttpResponse, error::SdkError, operation::assume_role::AssumeRoleError};
use std::time::SystemTime;

/// The place of a role in the chain of roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChainLink {
    /// The tenant's role, asked for with the server's own credentials.
    Direct,
    /// The vendor's role, asked for with the server's own credentials.
    Vendor,
    /// The tenant's role, asked for with the credentials of the vendor's role.
    Tenant,
}

impl ChainLink {
    /// The table of the tenant's file that names the role.
    pub(super) const fn table(self) -> &'static str {
        match self {
            Self::Vendor => "storage.credentials",
            Self::Direct | Self::Tenant => "storage.assume_role",
        }
    }

    /// The credentials that ask for the role.
    pub(super) const fn credentials(self) -> &'static str {
        match self {
            Self::Direct | Self::Vendor => "our own credentials",
            Self::Tenant => "the credentials of the vendor's role",
        }
    }

    /// Their owner.
    pub(super) const fn owner(self) -> &'static str {
        match self {
            Self::Direct | Self::Vendor => "of our own",
            Self::Tenant => "of the vendor's role",
        }
    }

    /// The subject of the session policy, and the way to a smaller policy.
    pub(super) const fn narrowed(self) -> &'static str {
        match self {
            Self::Direct | Self::Tenant => "this mount; a shorter prefix may make it fit",
            Self::Vendor => "the vendor's role; fewer tags of the server's own session may make it fit",
        }
    }
}

/// A request for a role, as errors describe it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoleRequest<'a> {
    pub(super) role: &'a RoleArn,
    pub(super) link: ChainLink,
    pub(super) has_tags: bool,
    pub(super) has_source_identity: bool,
}

impl<'a> RoleRequest<'a> {
    /// A request for a tenant's role, as the tenant's file states it.
    pub(super) const fn of_tenant(role: &'a Role) -> Self {
        Self {
            role: &role.arn,
            link: if role.via.is_some() { ChainLink::Tenant } else { ChainLink::Direct },
            has_tags: role.session_tags,
            has_source_identity: role.source_identity,
        }
    }

    /// The reason why the request failed, from the SDK's error.
    pub(super) fn failure(self, error: &SdkError<AssumeRoleError, HttpResponse>) -> Error {
        self.in_chain(Error::of(self, error))
    }

    /// STS granted the role without credentials.
    pub(super) fn without_credentials(self) -> Error {
        self.in_chain(Error::Broken { role: self.role.clone() })
    }

    /// STS granted the role with credentials that `expires` says ended before now.
    pub(super) fn expired_already(self, expires: SystemTime) -> Error {
        let ago = SystemClock.now().duration_since(expires).unwrap_or_default().as_secs();
        let said = format!("its new credentials for {} expired {ago} s ago by ours", self.role);
        self.in_chain(Error::Clock { said })
    }

    /// The same error, with the role of two that failed.
    pub(super) fn in_chain(self, error: Error) -> Error {
        match self.link {
            ChainLink::Direct => error,
            link => Error::Chained { role: self.role.clone(), link, error: Box::new(error) },
        }
    }
}
