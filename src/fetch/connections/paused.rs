//! Answers that wait for memory: large bodies while the buffers of all pages hold their share of `--memory`.
//!
//! What must hold:
//! * nothing of an answer is lost: it stays with the system, whose window makes the server wait;
//! * the wait has an end: one flight of the lane, that which has waited for longest, is *favoured* and gets what it needs,
//!   so a lane exceeds the share by one body; the clock of the whole fetch runs, that of its rate does not;
//! * pages of up to half of [`PAGE_FREE_BYTES`](crate::limits::PAGE_FREE_BYTES) never wait.
//!
//! Deliberately absent: cutting bodies, and any notice of memory given back; the lane looks once a turn.

use super::Connections;
use crate::fetch::exchange::Flight;
use crate::limits::READ_ROOM_BYTES;
use mio::Token;

/// Paused answers that are tried again in one turn.
const PAUSED_PER_TURN: usize = 16;

impl Connections {
    /// Leaves the rest of an answer with the system until other pages have given memory back.
    pub(super) fn pause(&mut self, token: Token) {
        if let Some(flight) = self.flight_of(token)
            && !flight.paused
        {
            flight.paused = true;
            self.paused.push_back(token);
            self.context.load.paused = self.paused.len();
        }
    }

    /// Reads on where memory has been given back; the one that has waited for longest in any case, one at a time.
    pub(super) fn feed_paused(&mut self) {
        let (now, window) = (self.context.now, self.settings.clocks.rate_window);
        for _ in 0..PAUSED_PER_TURN.min(self.paused.len()) {
            let favoured = self.favoured.and_then(|token| self.flight_of(token));
            let favours = favoured.is_none_or(|flight| !flight.favoured);
            if !favours && !self.context.pages.has(READ_ROOM_BYTES) {
                break;
            }
            let Some(token) = self.paused.pop_front() else {
                break;
            };
            let Some(flight) = self.flight_of(token).filter(|flight| flight.paused) else {
                continue;
            };
            flight.paused = false;
            flight.favoured = favours;
            // It was not the server that was slow.
            flight.window_bytes = flight.page.wire_bytes;
            flight.window_due = now.saturating_add(window.max(1));
            if favours {
                self.favoured = Some(token);
            }
            self.receive_of(token);
        }
        self.context.load.paused = self.paused.len();
    }

    fn flight_of(&mut self, token: Token) -> Option<&mut Flight> {
        let id = self.id(token)?;
        self.get(id)?.flight.as_mut()
    }
}
