//! May a heartbeat run now? One function, in the order in which its reasons count.

/// What is known when an agent is to be woken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// Heartbeats are switched off as a whole.
    pub switched_off: bool,
    /// It is outside the active hours.
    pub quiet: bool,
    /// All places of the main lane are taken.
    pub lane_busy: bool,
    /// `HEARTBEAT.md` is there and asks for nothing.
    pub nothing_to_do: bool,
    /// Somebody wants it to run whatever the file says: an event that waits, a person.
    pub called: bool,
    /// Its conversation has a turn that runs or waits.
    pub session_busy: bool,
    /// Nothing of it would be seen.
    pub invisible: bool,
}

/// Why a heartbeat does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skip {
    pub reason: &'static str,
    /// It is tried again in a moment.
    pub again: bool,
}

const fn over(reason: &'static str) -> Skip {
    Skip { reason, again: false }
}

const fn later(reason: &'static str) -> Skip {
    Skip { reason, again: true }
}

pub const DISABLED: &str = "disabled";

/// The first reason that holds.
///
/// # Errors
///
/// Why it does not run.
pub fn decide(facts: Facts) -> Result<(), Skip> {
    let reasons = [
        (facts.switched_off, over(DISABLED)),
        (facts.quiet, over("quiet-hours")),
        (facts.lane_busy, later("requests-in-flight")),
        (facts.nothing_to_do && !facts.called, over("empty-heartbeat-file")),
        (facts.session_busy, later("requests-in-flight")),
        (facts.invisible, over("alerts-disabled")),
    ];
    match reasons.into_iter().find(|(holds, _)| *holds) {
        Some((_, skip)) => Err(skip),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_in_the_order_counts() {
        let none = Facts::default();
        assert_eq!(decide(none), Ok(()));
        let all = Facts {
            switched_off: true,
            quiet: true,
            lane_busy: true,
            nothing_to_do: true,
            called: false,
            session_busy: true,
            invisible: true,
        };
        let order = [
            (all, over("disabled")),
            (Facts { switched_off: false, ..all }, over("quiet-hours")),
            (Facts { switched_off: false, quiet: false, ..all }, later("requests-in-flight")),
            (Facts { nothing_to_do: true, session_busy: true, ..none }, over("empty-heartbeat-file")),
            (Facts { nothing_to_do: true, called: true, session_busy: true, ..none }, later("requests-in-flight")),
            (Facts { session_busy: true, invisible: true, ..none }, later("requests-in-flight")),
            (Facts { invisible: true, ..none }, over("alerts-disabled")),
        ];
        for (facts, expected) in order {
            assert_eq!(decide(facts), Err(expected), "{facts:?}");
        }
        assert_eq!(
            decide(Facts { nothing_to_do: true, called: true, ..none }),
            Ok(()),
            "an event wakes it all the same"
        );
    }
}
