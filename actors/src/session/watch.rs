//! A session looks after its run: whether it is there, and whether it makes progress.

use std::time::Duration;

use super::message::{News, SessionMsg};
use super::phase::Phase;
use super::state::{Me, SessionState};
use crate::metrics;
use crate::run::message::AbortCause;
use crate::run::stream::now_ms;
use crate::supervision::Mail;
use crate::supervision::life::check_every;
use crate::supervision::mailbox::Mailbox;
use crate::supervision::task::Timer;

impl SessionState {
    pub fn check_run_later(me: &Me, run_id: &str) -> Timer {
        let run_id = run_id.to_owned();
        Timer::of(&me.send_after(check_every(), move || Mail::own(SessionMsg::News(News::CheckRun(run_id)))))
    }

    /// Asks the live run whether it is there; one that has not answered the last time is killed, and so goes down.
    pub fn check_run(&mut self, me: &Me, run_id: &str) {
        let Phase::Running(running) = &mut self.phase else { return };
        if running.turn.run_id != run_id {
            return; // an older one
        }
        if running.address.answered() != running.asked {
            tracing::error!(session = %self.key, run = %run_id, "run does not answer; killing it");
            return running.actor.kill();
        }
        running.asked = running.asked.wrapping_add(1);
        running.address.ping(running.asked);
        running.check = Self::check_run_later(me, run_id);
        self.watch_progress(run_id);
    }

    /// A run that makes no progress while others wait behind it is told of, and at last ended, so that they get their turn.
    fn watch_progress(&mut self, run_id: &str) {
        let limits = self.context.config.load().settings.diagnostics;
        let Phase::Running(running) = &mut self.phase else { return };
        let queued = self.waiting.len() + running.steered.len();
        let silent = running.pulse.silent_for();
        if queued == 0 || silent < Duration::from_millis(limits.stuck_session_warn_ms) {
            return;
        }
        let (key, age_ms, silent_ms) = (&self.key, now_ms() - running.started_at, silent.as_millis());
        if silent >= Duration::from_millis(limits.stuck_session_abort_ms) {
            tracing::error!(session = %key, run = %run_id, age_ms, silent_ms, queued, "session stuck: its run is ended");
            metrics::session_stuck("aborted");
            self.abort_run(AbortCause::Timeout, None);
        } else if !std::mem::replace(&mut running.warned, true) {
            tracing::warn!(session = %key, run = %run_id, age_ms, silent_ms, queued, "session stuck: its run makes no progress");
            metrics::session_stuck("warned");
        }
    }
}
