//! What happens to a message that finds its session busy, and which of the waiting ones become the next turn.
//!
//! Turns of different reply routes or different authority are never merged and never steered into one another: what
//! one sender may ask for must not be done in the name of another. Source: queue modes of 2026.5.12.

use crate::config::settings::{Queue, QueueDrop, QueueMode};
use crate::run::message::Authority;

const COLLECT_TITLE: &str = "[Queued messages while agent was busy]";
/// Longest line about a dropped message, characters.
const SUMMARY_CHARS_MAX: usize = 160;

/// Where an answer goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    pub channel: Option<String>,
    pub account: Option<String>,
    pub to: Option<String>,
    pub thread: Option<String>,
}

/// A turn as the queue sees it; whoever owns it keeps it.
#[derive(Debug, Clone, Copy)]
pub struct QueuedTurn<'a> {
    pub run_id: &'a str,
    pub text: &'a str,
    /// Name for the model to tell several people apart.
    pub sender: Option<&'a str>,
    pub route: &'a Route,
    pub authority: Authority,
    pub received_at_ms: i64,
    /// Somebody waits for this very turn's result, or it has settings of its own: it runs by itself.
    pub alone: bool,
}

impl QueuedTurn<'_> {
    fn is_with(&self, other: &QueuedTurn<'_>) -> bool {
        self.route == other.route && self.authority == other.authority
    }
}

/// How a session treats what comes while it is busy. `cap` counts waiting turns, not the running one.
#[derive(Debug, Clone, Copy)]
pub struct QueueRule {
    pub mode: QueueMode,
    pub cap: usize,
    pub drop: QueueDrop,
}

/// Where a turn goes. Indices are places among the waiting turns, ascending; those turns are to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Into the live run, at its next model boundary.
    Steer,
    /// To the end of the queue.
    Wait { dropped: Vec<usize> },
    /// Both: into the live run, and kept as a turn for later.
    SteerAndWait { dropped: Vec<usize> },
    /// The live run is aborted, this turn is next.
    Interrupt { dropped: Vec<usize> },
    /// The queue is full and its rule is to refuse.
    Refuse,
}

/// Decides about a turn that finds its session busy with `running`.
///
/// `steerable`: can the live run still take a message? A turn that cannot be steered waits; one of less authority than
/// the running turn never interrupts it.
pub fn admit(
    rule: QueueRule,
    running: &QueuedTurn<'_>,
    steerable: bool,
    waiting: &[QueuedTurn<'_>],
    turn: &QueuedTurn<'_>,
) -> Decision {
    let joins = steerable && !turn.alone && turn.is_with(running);
    match rule.mode {
        QueueMode::Steer | QueueMode::Queue if joins => Decision::Steer,
        QueueMode::SteerBacklog if joins => match room(rule, waiting, turn) {
            Some(dropped) => Decision::SteerAndWait { dropped },
            None => Decision::Steer,
        },
        // Only one's own: who waits in another chat has asked for something else.
        QueueMode::Interrupt if !turn.alone && turn.route == running.route && turn.authority >= running.authority => {
            let own = |other: &QueuedTurn<'_>| other.route == turn.route && other.authority <= turn.authority;
            Decision::Interrupt { dropped: places(waiting, own) }
        }
        _ => match room(rule, waiting, turn) {
            Some(dropped) => Decision::Wait { dropped },
            None => Decision::Refuse,
        },
    }
}

/// Makes room for one more: which turns go. `None` when the new one has to.
fn room(rule: QueueRule, waiting: &[QueuedTurn<'_>], turn: &QueuedTurn<'_>) -> Option<Vec<usize>> {
    let surplus = (waiting.len() + 1).saturating_sub(rule.cap.max(1));
    if surplus == 0 {
        return Some(Vec::new());
    }
    if rule.drop == QueueDrop::New {
        return None;
    }
    // Somebody waits for the result of a turn that runs alone, or waits in another chat: it is not dropped for this one.
    let mut oldest = places(waiting, |other| !other.alone && other.is_with(turn));
    oldest.truncate(surplus);
    (oldest.len() == surplus).then_some(oldest)
}

fn places(waiting: &[QueuedTurn<'_>], which: impl Fn(&QueuedTurn<'_>) -> bool) -> Vec<usize> {
    waiting.iter().enumerate().filter(|(_, turn)| which(turn)).map(|(place, _)| place).collect()
}

/// How many waiting turns, from the front, make the next one. 0 only for an empty queue.
pub fn batch(mode: QueueMode, waiting: &[QueuedTurn<'_>]) -> usize {
    let Some(first) = waiting.first() else { return 0 };
    if mode != QueueMode::Collect || first.alone {
        return 1;
    }
    waiting.iter().take_while(|turn| !turn.alone && turn.is_with(first)).count()
}

/// When collected messages may become a turn: `debounce_ms` after the latest one. `None` without waiting turns.
pub fn collect_at_ms(waiting: &[QueuedTurn<'_>], debounce_ms: u64) -> Option<i64> {
    let latest = waiting.iter().map(|turn| turn.received_at_ms).max()?;
    Some(latest.saturating_add_unsigned(debounce_ms))
}

/// The text of the turn that a batch becomes; `overflow` is what [`Overflow::take`] gave for it.
pub fn render(mode: QueueMode, batch: &[QueuedTurn<'_>], overflow: Option<String>) -> String {
    let mut blocks: Vec<String> = Vec::new();
    if mode == QueueMode::Collect && batch.iter().all(|turn| !turn.alone) {
        blocks.push(COLLECT_TITLE.into());
        blocks.extend(overflow);
        blocks.extend(batch.iter().enumerate().map(|(index, turn)| {
            let from = turn.sender.map(|sender| format!(" (from {sender})")).unwrap_or_default();
            format!("---\nQueued #{}{from}\n{}", index + 1, turn.text)
        }));
    } else {
        blocks.extend(overflow);
        blocks.extend(batch.iter().map(|turn| turn.text.to_owned()));
    }
    blocks.join("\n\n")
}

/// What was dropped since the last turn of each route and authority. Lives as long as its session's actor.
#[derive(Debug, Default)]
pub struct Overflow {
    groups: Vec<Dropped>,
}

#[derive(Debug)]
struct Dropped {
    route: Route,
    authority: Authority,
    count: usize,
    lines: Vec<String>,
}

impl Overflow {
    /// Remembers a dropped turn; `lines_max` bounds what is told of each.
    pub fn note(&mut self, turn: &QueuedTurn<'_>, lines_max: usize) {
        let place = self.place(turn).unwrap_or_else(|| {
            let (route, authority) = (turn.route.clone(), turn.authority);
            self.groups.push(Dropped { route, authority, count: 0, lines: Vec::new() });
            self.groups.len() - 1
        });
        let group = &mut self.groups[place];
        group.count += 1;
        group.lines.push(one_line(turn.text));
        if group.lines.len() > lines_max.max(1) {
            group.lines.remove(0);
        }
    }

    /// The note for the next turn of the same route and authority as `turn`, told once.
    pub fn take(&mut self, turn: &QueuedTurn<'_>) -> Option<String> {
        let group = self.groups.remove(self.place(turn)?);
        let plural = if group.count == 1 { "" } else { "s" };
        let title = format!("[Queue overflow] Dropped {} message{plural} due to cap.", group.count);
        let lines: String = group.lines.iter().map(|line| format!("\n- {line}")).collect();
        Some(format!("{title}\nSummary:{lines}"))
    }

    fn place(&self, turn: &QueuedTurn<'_>) -> Option<usize> {
        self.groups.iter().position(|group| group.route == *turn.route && group.authority == turn.authority)
    }
}

fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SUMMARY_CHARS_MAX {
        return line;
    }
    let head: String = line.chars().take(SUMMARY_CHARS_MAX - 1).collect();
    format!("{}…", head.trim_end())
}

/// The mode in force: asked for in the message, else the session's, else the channel's, else the configured one.
pub fn mode(inline: Option<QueueMode>, session: Option<&str>, channel: Option<&str>, config: &Queue) -> QueueMode {
    inline
        .or_else(|| session.and_then(parse_mode))
        .or_else(|| channel.and_then(|channel| config.by_channel.get(channel).copied()))
        .unwrap_or(config.mode)
}

/// Reads a mode's name, in any case.
pub fn parse_mode(text: &str) -> Option<QueueMode> {
    Some(match text.trim().to_lowercase().as_str() {
        "steer" => QueueMode::Steer,
        "followup" => QueueMode::Followup,
        "collect" => QueueMode::Collect,
        "steer-backlog" | "steer+backlog" => QueueMode::SteerBacklog,
        "queue" => QueueMode::Queue,
        "interrupt" => QueueMode::Interrupt,
        _ => return None,
    })
}

pub fn mode_name(mode: QueueMode) -> &'static str {
    match mode {
        QueueMode::Steer => "steer",
        QueueMode::Followup => "followup",
        QueueMode::Collect => "collect",
        QueueMode::SteerBacklog => "steer-backlog",
        QueueMode::Queue => "queue",
        QueueMode::Interrupt => "interrupt",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Route = Route { channel: None, account: None, to: None, thread: None };

    fn there() -> Route {
        Route { channel: Some("telegram".into()), ..Route::default() }
    }

    fn turn(text: &str) -> QueuedTurn<'_> {
        QueuedTurn {
            run_id: text,
            text,
            sender: None,
            route: &HERE,
            authority: Authority::Sender,
            received_at_ms: 0,
            alone: false,
        }
    }

    fn by(authority: Authority) -> QueuedTurn<'static> {
        QueuedTurn { authority, ..turn("x") }
    }

    fn alone() -> QueuedTurn<'static> {
        QueuedTurn { alone: true, ..turn("alone") }
    }

    fn rule(mode: QueueMode) -> QueueRule {
        QueueRule { mode, cap: 2, drop: QueueDrop::Summarize }
    }

    #[test]
    fn each_mode_sends_a_turn_to_its_place() {
        let none = || Vec::new();
        let running = turn("running");
        for (mode, steerable, expected) in [
            (QueueMode::Steer, true, Decision::Steer),
            (QueueMode::Steer, false, Decision::Wait { dropped: none() }),
            (QueueMode::Queue, true, Decision::Steer),
            (QueueMode::Followup, true, Decision::Wait { dropped: none() }),
            (QueueMode::Collect, true, Decision::Wait { dropped: none() }),
            (QueueMode::SteerBacklog, true, Decision::SteerAndWait { dropped: none() }),
            (QueueMode::SteerBacklog, false, Decision::Wait { dropped: none() }),
            (QueueMode::Interrupt, true, Decision::Interrupt { dropped: vec![0] }),
        ] {
            let waiting: &[_] = if mode == QueueMode::Interrupt { &[turn("old")] } else { &[] };
            assert_eq!(admit(rule(mode), &running, steerable, waiting, &turn("new")), expected, "{mode:?}");
        }
    }

    #[test]
    fn a_turn_of_another_route_or_authority_is_not_steered() {
        let other_route = there();
        let wait = Decision::Wait { dropped: Vec::new() };
        for new in
            [by(Authority::Owner), by(Authority::Untrusted), QueuedTurn { route: &other_route, ..turn("x") }, alone()]
        {
            assert_eq!(admit(rule(QueueMode::Steer), &turn("running"), true, &[], &new), wait);
        }
    }

    #[test]
    fn nobody_interrupts_a_turn_of_more_authority() {
        let interrupt = rule(QueueMode::Interrupt);
        let owner = by(Authority::Owner);
        let wait = Decision::Wait { dropped: Vec::new() };
        assert_eq!(admit(interrupt, &owner, true, &[], &by(Authority::Sender)), wait);
        assert_eq!(
            admit(interrupt, &by(Authority::Untrusted), true, &[owner, by(Authority::Sender)], &by(Authority::Sender)),
            Decision::Interrupt { dropped: vec![1] }
        );
    }

    #[test]
    fn a_full_queue_drops_the_oldest_or_refuses() {
        let full = [turn("a"), turn("b")];
        for (drop, waiting, expected) in [
            (QueueDrop::Summarize, &full[..1], Decision::Wait { dropped: vec![] }),
            (QueueDrop::Summarize, &full[..], Decision::Wait { dropped: vec![0] }),
            (QueueDrop::Old, &full[..], Decision::Wait { dropped: vec![0] }),
            (QueueDrop::New, &full[..], Decision::Refuse),
            (QueueDrop::Old, &[alone(), turn("b")][..], Decision::Wait { dropped: vec![1] }),
            (QueueDrop::Old, &[alone(), alone()][..], Decision::Refuse),
            (QueueDrop::Old, &[turn("a"), turn("b"), turn("c")][..], Decision::Wait { dropped: vec![0, 1] }),
        ] {
            let rule = QueueRule { drop, ..rule(QueueMode::Followup) };
            assert_eq!(admit(rule, &turn("running"), true, waiting, &turn("new")), expected, "{drop:?}");
        }
    }

    #[test]
    fn only_neighbours_of_one_kind_are_collected() {
        let other_route = there();
        let elsewhere = QueuedTurn { route: &other_route, ..turn("c") };
        for (mode, waiting, count) in [
            (QueueMode::Collect, vec![], 0),
            (QueueMode::Collect, vec![turn("a"), turn("b"), elsewhere, turn("d")], 2),
            (QueueMode::Collect, vec![turn("a"), by(Authority::Owner)], 1),
            (QueueMode::Collect, vec![turn("a"), alone()], 1),
            (QueueMode::Collect, vec![alone(), turn("a")], 1),
            (QueueMode::Followup, vec![turn("a"), turn("b")], 1),
        ] {
            assert_eq!(batch(mode, &waiting), count, "{mode:?} {waiting:?}");
        }
    }

    #[test]
    fn collected_messages_are_numbered_and_name_their_senders() {
        let batch = [QueuedTurn { sender: Some("Ann"), ..turn("first") }, turn("second")];
        assert_eq!(
            render(QueueMode::Collect, &batch, None),
            "[Queued messages while agent was busy]\n\n---\nQueued #1 (from Ann)\nfirst\n\n---\nQueued #2\nsecond"
        );
        assert_eq!(render(QueueMode::Followup, &batch[..1], None), "first");
        assert_eq!(render(QueueMode::Collect, &[alone()], None), "alone");
    }

    #[test]
    fn what_was_dropped_is_told_once_to_the_next_turn_of_its_kind() {
        let mut overflow = Overflow::default();
        let long = format!("line one\nline two {}", "x".repeat(200));
        overflow.note(&turn("first"), 2);
        overflow.note(&turn("short"), 2);
        overflow.note(&turn(&long), 2);
        overflow.note(&by(Authority::Owner), 2);
        let told = overflow.take(&turn("next")).unwrap();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[..3], ["[Queue overflow] Dropped 3 messages due to cap.", "Summary:", "- short"]);
        assert!(lines[3].starts_with("- line one line two xxx") && lines[3].ends_with('…'));
        assert_eq!(lines[3].chars().count(), 2 + SUMMARY_CHARS_MAX);
        assert_eq!(overflow.take(&turn("next")), None);
        assert_eq!(
            render(QueueMode::Followup, &[by(Authority::Owner)], overflow.take(&by(Authority::Owner))),
            "[Queue overflow] Dropped 1 message due to cap.\nSummary:\n- x\n\nx"
        );
    }

    #[test]
    fn messages_are_collected_when_it_has_been_quiet() {
        let late = QueuedTurn { received_at_ms: 70, ..turn("b") };
        assert_eq!(collect_at_ms(&[late, turn("a")], 500), Some(570));
        assert_eq!(collect_at_ms(&[], 500), None);
    }

    #[test]
    fn the_most_specific_mode_wins() {
        let mut config = Queue::default();
        config.by_channel.insert("telegram".into(), QueueMode::Collect);
        for (inline, session, channel, expected) in [
            (None, None, None, QueueMode::Steer),
            (None, None, Some("telegram"), QueueMode::Collect),
            (None, Some("followup"), Some("telegram"), QueueMode::Followup),
            (None, Some("nonsense"), Some("telegram"), QueueMode::Collect),
            (Some(QueueMode::Interrupt), Some("followup"), None, QueueMode::Interrupt),
        ] {
            assert_eq!(mode(inline, session, channel, &config), expected);
        }
        for name in ["steer", "followup", "collect", "steer-backlog", "queue", "interrupt"] {
            assert_eq!(parse_mode(name).map(mode_name), Some(name));
        }
        assert_eq!(parse_mode("Steer+Backlog"), Some(QueueMode::SteerBacklog));
    }
}
