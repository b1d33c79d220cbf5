//! What keeps this node's core like the one in charge, as the document that `understudy status` shows.

use book::mirror::Charge;
use control::status::{Book, Event, Warm};
use nsca::sealed::{NodeName, Warmth};
use warm::resync::{Ending, Report};
use warm::{Shelves, takeover};

use super::seconds_since;

/// Its part.
pub(crate) fn warm(warm: &warm::Warm) -> Warm {
    let (sides, mirroring) = (warm.sides(), warm.mirroring());
    let books = sides.shelves.nodes().into_iter().filter_map(|node| book(&sides.shelves, &node));
    let warmth = *warm.warmth().borrow();
    Warm {
        peer: sides.peer().map(|peer| peer.to_string()),
        warmth: if warmth == Warmth::Warm { "warm" } else { "cold" }.to_owned(),
        in_charge: mirroring.charge.map(|charge| match charge {
            Charge::Own => "own".to_owned(),
            Charge::Peer => "peer".to_owned(),
        }),
        books: books.collect(),
        remarks_told: mirroring.told,
        objects_with_remarks: mirroring.carried as u64,
        remarks_wait: mirroring.waits,
        last_resync: warm.last_resync().map(|report| Event {
            age_seconds: seconds_since(report.began),
            ended: resync_ended(&report),
            well: matches!(report.ending, Ending::Done | Ending::NotNeeded(_)),
        }),
        last_takeover: warm.last_takeover().map(|report| Event {
            age_seconds: seconds_since(report.began),
            ended: takeover_ended(&report),
            well: report.trouble().is_none(),
        }),
    }
}

/// Why this node's core does not know what the other one has told, while it notifies.
pub(crate) fn untold(warm: &warm::Warm) -> Option<String> {
    let trouble = warm.last_takeover().filter(|_| warm.sides().is_on_stage())?.trouble()?;
    Some(format!("problems may be notified twice, and recoveries not at all: {trouble}"))
}

fn book(shelves: &Shelves, node: &NodeName) -> Option<Book> {
    shelves.read(node, |shelf| {
        let heading = shelf.heading();
        Book {
            node: node.to_string(),
            objects: shelf.book().len() as u64,
            whole: shelf.is_whole(),
            age_seconds: (heading.created > 0).then(|| seconds_since(heading.created)),
            notifies: heading.notifies,
        }
    })
}

/// How a resynchronisation ended, in a sentence.
pub(crate) fn resync_ended(report: &Report) -> String {
    let Report { ending, behind, still_behind, shown, given, .. } = report;
    match ending {
        Ending::Done if (*behind, *given) == (0, 0) => "nothing was missing".to_owned(),
        Ending::Done => {
            let left = if *still_behind == 0 { String::new() } else { format!(", {still_behind} still lack theirs") };
            format!(
                "{behind} objects lacked a result, {shown} results came{left}; {given} were given what they lacked of memory"
            )
        }
        Ending::NotNeeded(obstacle) => format!("not done: {obstacle}"),
        Ending::GaveUp(reason) => format!("given up: {reason}"),
        Ending::NotTaken(reason) => format!("{shown} results came, but the core did not take the memory: {reason}"),
    }
}

/// Why it did not bring the core up to date, if so.
pub(crate) fn resync_refused(report: &Report) -> Option<String> {
    match report.ending {
        Ending::Done => None,
        Ending::NotNeeded(_) | Ending::GaveUp(_) | Ending::NotTaken(_) => Some(resync_ended(report)),
    }
}

fn takeover_ended(report: &takeover::Report) -> String {
    let takeover::Report { ending, given, owed, behind, .. } = report;
    match ending {
        takeover::Ending::UnderWay => "goes on".to_owned(),
        takeover::Ending::NotNeeded(reason) => format!("the core notifies with what it remembers itself: {reason}"),
        takeover::Ending::Impossible(lack) => format!("the core notifies with what it remembers itself: {lack}"),
        takeover::Ending::NothingToGive => "the core knew what the other one had told".to_owned(),
        takeover::Ending::CalledOff => "called off".to_owned(),
        takeover::Ending::Given(outcome) => {
            let behind = if *behind == 0 { String::new() } else { format!(", {behind} lacked a result") };
            format!("{given} objects were given something, {owed} recoveries were owed{behind}: {outcome}")
        }
    }
}
