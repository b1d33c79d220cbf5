//! Who the daemon runs as, and where its root is: `nsca_user`, `nsca_group`, `nsca_chroot`.
//!
//! Names are looked up before the chroot, which has no user database. Only root can change any of it; anybody else
//! stays who it is, as with the original.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use nix::unistd::{Gid, Group, Uid, User, chdir, chroot, initgroups, setgid, setgroups, setuid};

use crate::NscaCfg;

/// What to become.
#[derive(Debug, Default)]
pub(super) struct Identity {
    chroot: Option<PathBuf>,
    uid: Option<Uid>,
    gid: Option<Gid>,
    /// The user's name, for its other groups.
    name: Option<CString>,
}

/// Why the daemon cannot become who it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    #[error("Could not get passwd entry for '{0}': is there such a user?")]
    NoUser(String),
    #[error("Could not get group entry for '{0}': is there such a group?")]
    NoGroup(String),
    #[error("can not chdir into chroot directory: {0}")]
    Directory(nix::Error),
    #[error("can not chroot: {0}")]
    Chroot(nix::Error),
    #[error("Could not set effective GID={0}: {1}")]
    Group(Gid, nix::Error),
    #[error("Could not set effective UID={0}: {1}")]
    User(Uid, nix::Error),
}

impl IdentityError {
    /// The original has an exit code of its own for that.
    pub(super) fn is_about_chroot(&self) -> bool {
        matches!(self, IdentityError::Directory(_) | IdentityError::Chroot(_))
    }
}

impl Identity {
    /// Looks up what `cfg` names.
    pub(super) fn of(cfg: &NscaCfg) -> Result<Identity, IdentityError> {
        let mut identity = Identity { chroot: cfg.chroot.clone(), ..Identity::default() };
        if !Uid::effective().is_root() {
            if cfg.user.is_some() || cfg.group.is_some() {
                tracing::debug!("nsca_user and nsca_group are not used: only root can become somebody else");
            }
            return Ok(identity);
        }
        if let Some(name) = &cfg.user {
            let user = find_user(name).ok_or_else(|| IdentityError::NoUser(name.clone()))?;
            (identity.uid, identity.gid) = (Some(user.uid), Some(user.gid));
            identity.name = CString::new(user.name).ok();
        }
        if let Some(name) = &cfg.group {
            identity.gid = Some(find_group(name).ok_or_else(|| IdentityError::NoGroup(name.clone()))?);
        }
        Ok(identity)
    }

    /// Gives `file` to the one to become.
    pub(super) fn own(&self, file: &File) -> io::Result<()> {
        Ok(nix::unistd::fchown(file.as_fd(), self.uid, self.gid)?)
    }

    /// Becomes it. There is no way back.
    pub(super) fn assume(&self) -> Result<(), IdentityError> {
        if let Some(directory) = &self.chroot {
            chdir(directory).map_err(IdentityError::Directory)?;
            chroot(".").map_err(IdentityError::Chroot)?;
        }
        if let Some(gid) = self.gid {
            let groups = match &self.name {
                Some(name) => initgroups(name, gid),
                None => setgroups(&[gid]),
            };
            groups.and_then(|()| setgid(gid)).map_err(|e| IdentityError::Group(gid, e))?;
        }
        if let Some(uid) = self.uid {
            setuid(uid).map_err(|e| IdentityError::User(uid, e))?;
        }
        Ok(())
    }
}

/// By name, or by number.
fn find_user(name: &str) -> Option<User> {
    let by_number = || User::from_uid(Uid::from_raw(name.parse().ok()?)).ok().flatten();
    User::from_name(name).ok().flatten().or_else(by_number)
}

/// By name, or by number, which need not have a name.
fn find_group(name: &str) -> Option<Gid> {
    let by_name = Group::from_name(name).ok().flatten().map(|group| group.gid);
    by_name.or_else(|| name.parse().ok().map(Gid::from_raw))
}
