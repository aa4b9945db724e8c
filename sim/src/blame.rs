//! Whether errors blame the device for what it did: who reads of a full disk makes room, who reads of a failed sync
//! looks for another device.
//!
//! It knows which kinds of faults struck in a run, not which operation they struck; an error that no fault of the run
//! could have caused is a violation. Whether there may be an error at all is not its question.

use docdb_engine::{Alert, AlertKind};
use docdb_protocol::{ErrorCode, Reply, Response};

use crate::disk::{FaultCounts, FaultKind};
use crate::oracle::{Violation, violation};

/// Looks at every error of an answer.
///
/// # Errors
/// When nothing that struck could be its cause.
pub fn answered(response: &Response, struck: &FaultCounts) -> Result<(), Violation> {
    match response {
        Err(error) => is_deserved(error.code(), struck),
        Ok(Reply::Executed(results)) => {
            let mut errors = results.iter().filter_map(|result| result.as_ref().err());
            errors.try_for_each(|error| is_deserved(error.code(), struck))
        }
        Ok(_) => Ok(()),
    }
}

/// What may keep a database from going on with its log. A shortage is none of them: it passes, and nothing was begun.
const LATCHING: [FaultKind; 14] = [
    FaultKind::NoSpace,
    FaultKind::WriteError,
    FaultKind::ShortWrite,
    FaultKind::Interrupted,
    FaultKind::Busy,
    FaultKind::NameError,
    FaultKind::Denied,
    FaultKind::FolderGone,
    FaultKind::DirectorySyncError,
    FaultKind::SyncExt4Ordered,
    FaultKind::SyncExt4Data,
    FaultKind::SyncBtrfs,
    FaultKind::SyncShutdown,
    FaultKind::SyncFalseAlarm,
];

/// Looks at the error in an alert.
///
/// # Errors
/// When nothing that struck could be its cause.
pub fn alerted(alert: &Alert, struck: &FaultCounts) -> Result<(), Violation> {
    if matches!(alert.kind, AlertKind::ReadOnly(_)) && !LATCHING.iter().any(|kind| struck.of(*kind) > 0) {
        return violation!("a database latched, and nothing that struck is a reason for it: {alert:?}");
    }
    match &alert.kind {
        AlertKind::LogFailed(error)
        | AlertKind::ReadOnly(error)
        | AlertKind::NoSpace(error)
        | AlertKind::CheckpointFailed(error)
        | AlertKind::PreparationFailed(error) => is_deserved(error.code(), struck),
        AlertKind::Damage(_) | AlertKind::CatalogRebuilt(_) => Ok(()),
    }
}

fn is_deserved(code: ErrorCode, struck: &FaultCounts) -> Result<(), Violation> {
    use FaultKind as K;
    let causes: &[FaultKind] = match code {
        ErrorCode::DiskFull => &[K::NoSpace],
        ErrorCode::PermissionDenied => &[K::Denied, K::StartError],
        ErrorCode::FileWrite => &[K::WriteError, K::ShortWrite, K::Interrupted, K::Busy, K::SyncShutdown],
        ErrorCode::FileSync => &[
            K::SyncExt4Ordered,
            K::SyncExt4Data,
            K::SyncBtrfs,
            K::SyncShutdown,
            K::SyncFalseAlarm,
            K::DirectorySyncError,
            K::FolderGone,
            K::Interrupted,
            K::Busy,
        ],
        // The others have causes beside the device.
        _ => return Ok(()),
    };
    if causes.iter().any(|kind| struck.of(*kind) > 0) {
        return Ok(());
    }
    let names: Vec<&str> = causes.iter().map(|kind| kind.name()).collect();
    violation!("{code:?} was told, but nothing that could cause it ever struck: {}", names.join(", "))
}
