//! What a core remembers, told beside its results.

use super::*;

const HEADING: Heading =
    Heading { part: Part::Begin, program_start: 1_799_990_000, created: 1_799_999_990, notifies: Some(true) };

fn shown(output: &[u8]) -> ShownFrame<'_> {
    ShownFrame {
        check_time_us: 0,
        state_type: None,
        check_type: None,
        attempt: 0,
        code: 0,
        host: b"host",
        service: b"service",
        output,
    }
}

fn want() -> Want {
    Want::Results { objects: vec![(b"host".to_vec(), b"service".to_vec())], is_last: true }
}

/// A pair of which each side knows of books or not.
fn pair(client: bool, server: bool) -> Pair {
    let client = ClientSettings { books: client, ..client_settings() };
    let mut pair = Pair::new(client, ServerSettings { books: server, ..server_settings() });
    pair.establish(0);
    let _heartbeats = (pair.there(), pair.back());
    pair
}

#[test]
fn a_book_is_told_and_asked_for() {
    let mut pair = pair(true, true);
    assert!(pair.client.has_books() && pair.server.has_books());
    assert_eq!(pair.client.send_heading(&HEADING), Sent::Taken);
    assert_eq!(pair.client.send_record(b"a record"), Sent::Taken);
    assert_eq!(pair.there(), [Event::Heading(HEADING), Event::Record(b"a record".to_vec())]);
    for want in [want(), Want::Book] {
        assert!(pair.server.want(&want));
        assert_eq!(pair.back(), [ClientEvent::Want(want)]);
    }
    assert_eq!(pair.client.send_shown(&shown(b"CRITICAL")), Sent::Taken);
    assert_eq!(pair.client.send_answered(1), Sent::Taken);
    assert_eq!(pair.there(), [Event::Shown(b"CRITICAL".to_vec()), Event::Answered(1)]);
}

#[test]
fn where_one_side_knows_of_no_books_nothing_of_them_is_sent_or_heard() {
    for (client, server) in [(true, false), (false, true), (false, false)] {
        let mut pair = pair(client, server);
        assert!(!pair.client.has_books() && !pair.server.has_books());
        assert_eq!(pair.client.send_heading(&HEADING), Sent::Later);
        assert_eq!(pair.client.send_record(b""), Sent::Later);
        assert_eq!(pair.client.send_shown(&shown(b"")), Sent::Later);
        assert_eq!(pair.client.send_answered(0), Sent::Later);
        assert!(!pair.server.want(&Want::Book));
        assert_eq!((pair.there(), pair.back()), (vec![], vec![]));
        for kind in 5..=9 {
            pair.client.inject_frame(kind, b"?");
            pair.server.inject_frame(kind, b"?");
            assert_eq!((pair.there(), pair.back()), (vec![], vec![]), "kind {kind}");
        }
    }
}

#[test]
fn before_the_welcome_there_are_no_books() {
    let mut pair = Pair::new(client_settings(), server_settings());
    assert!(!pair.client.has_books() && !pair.server.has_books());
    assert_eq!(pair.client.send_heading(&HEADING), Sent::Later);
    assert!(!pair.server.want(&Want::Book));
}

#[test]
fn news_goes_first_then_what_was_asked_for_then_the_book_and_none_of_it_needs_credit() {
    let window = Window { results: 1, bytes: 1000 };
    let mut pair = Pair::new(client_settings(), ServerSettings { window, ..server_settings() });
    pair.establish(0);
    let _heartbeat = pair.there();
    assert_eq!(pair.client.send_record(b"record"), Sent::Taken);
    assert_eq!(pair.client.send_shown(&shown(b"shown")), Sent::Taken);
    assert_eq!(pair.client.send(&result(1, b"news")), Sent::Taken);
    let first = Said { sequence: 1, output: b"news".to_vec() };
    let expected = [Event::Result(first), Event::Shown(b"shown".to_vec()), Event::Record(b"record".to_vec())];
    assert_eq!(pair.there(), expected);
    assert_eq!(pair.client.send(&result(2, b"no credit")), Sent::Later);
    assert_eq!(pair.client.send_shown(&shown(b"")), Sent::Taken);
    assert_eq!(pair.client.send_record(b""), Sent::Taken);
    assert_eq!(pair.there().len(), 2);
}

#[test]
fn what_waits_of_a_book_is_bounded() {
    let mut pair = pair(true, true);
    let taken = (0..10_000).take_while(|_| pair.client.send_record(&[0; 100]) == Sent::Taken).count();
    assert!((300..700).contains(&taken), "{taken}: about a message");
    assert_eq!(pair.there().len(), taken);
    let longest = vec![7; MAX_FRAME_BYTES];
    assert_eq!(pair.client.send_record(&longest), Sent::Taken);
    assert_eq!(pair.client.send_record(b""), Sent::Later);
    assert_eq!(pair.client.send_shown(&shown(b"another lane")), Sent::Taken);
    assert_eq!(pair.there(), [Event::Shown(b"another lane".to_vec()), Event::Record(longest)]);
    let too_long = vec![7; MAX_FRAME_BYTES + 1];
    assert_eq!(pair.client.send_record(&too_long), Sent::TooLong);
    assert_eq!(pair.client.send_shown(&shown(&too_long)), Sent::TooLong);
    let wants = (0..10_000).take_while(|_| pair.server.want(&want())).count();
    assert!((1..10_000).contains(&wants), "{wants}");
    assert_eq!(pair.back().len(), wants);
}

#[test]
fn what_was_told_comes_before_the_goodbye() {
    let mut pair = pair(true, true);
    assert_eq!(pair.client.send_record(b"last"), Sent::Taken);
    pair.client.goodbye(Reason::Stopping);
    assert_eq!(pair.client.send_record(b"too late"), Sent::Later);
    assert_eq!(pair.there(), [Event::Record(b"last".to_vec()), Event::Goodbye(Reason::Stopping)]);
}

#[test]
fn frames_that_make_no_sense_end_the_session() {
    let (five, seven) = (&[5][..], &[7, 0, 0][..]);
    for (kind, content) in [(5, five), (7, seven), (8, five), (9, five)] {
        let mut pair = pair(true, true);
        pair.client.inject_frame(kind, content);
        let bytes = pair.client_sends();
        let error = pair.give_server(&bytes).unwrap_err();
        assert!(matches!(error, SealedError::InvalidMessage(_)), "{error:?}");
        let parting = pair.server_sends();
        assert_eq!(pair.give_client(&parting), Ok(vec![ClientEvent::Goodbye(Reason::Misbehaved)]));
    }
}

#[test]
fn each_side_says_its_own_part_only() {
    let mut heading = Vec::new();
    heading.extend([1; 18]);
    for (kind, content) in [(5, &heading[..]), (6, b""), (8, b""), (9, &[0; 4])] {
        let mut pair = pair(true, true);
        pair.server.inject_frame(kind, content);
        let bytes = pair.server_sends();
        let error = pair.give_client(&bytes).unwrap_err();
        assert_eq!(error, SealedError::PeerMisbehaved("tells its book to a sender"));
    }
    let mut pair = pair(true, true);
    pair.client.inject_frame(7, &[1, 0, 0]);
    let bytes = pair.client_sends();
    assert_eq!(pair.give_server(&bytes), Err(SealedError::PeerMisbehaved("asks a receiver for its book")));
}
