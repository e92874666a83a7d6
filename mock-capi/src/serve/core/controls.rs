//! The functions with which tests inspect and change a running mock.

use std::path::Path;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::Core;
use super::record::Stats;
use crate::api::state::present_world;
use crate::api::uaa::KeyError;
use crate::api::uaa::token::{TokenKind, TokenOwner};
use crate::serve::faults::{Fault, FaultCount, InvalidFaults};
use crate::serve::pace::{CostTable, Profile};
use crate::serve::request_log::{RequestFilter, Verification, VerificationResult};
use crate::serve::state::{self, SavedState, SnapshotError, StateError};
use crate::serve::stubs::Stub;
use crate::serve::worlds::Worlds;
use crate::world::settings::Timings;
use crate::world::{CF_CLIENT, UAA_ORIGIN};

/// A change of the times of a running mock.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) timings: Timings,
    /// `Some` replaces the profile, by none if the inner value is `None`.
    pub(crate) profile: Option<Option<Profile>>,
    pub(crate) workers: Option<usize>,
}

impl Core {
    pub(crate) fn save(&self, path: &Path) -> Result<(), StateError> {
        let mut state = self.lock();
        state.world.settle(self.clock.now());
        let dialect = self.settings.dialect;
        let saved = SavedState::new(dialect, &state.tokens, &state.world);
        match &self.state_file {
            Some(file) if file.is_at(path) => file.save(&saved),
            _ => state::save(path, &saved),
        }
    }

    /// Releases the state file for other mocks. An adapter may keep the fake alive for a
    /// while after its mock was dropped.
    pub(crate) fn release_state_file(&self) {
        if let Some(file) = &self.state_file {
            file.release();
        }
    }

    pub(crate) fn set_faults(&self, faults: Vec<Fault>) -> Result<(), InvalidFaults> {
        Fault::check_all(&faults, &self.router, self.wire)?;
        self.lock().faults.set(faults, self.clock.now());
        Ok(())
    }

    pub(crate) fn fault_counts(&self) -> Vec<FaultCount> {
        self.lock().faults.rules().to_vec()
    }

    /// The current faults with their counts, as JSON.
    pub(crate) fn faults(&self) -> Value {
        serde_json::json!(self.lock().faults.rules())
    }

    pub(crate) fn timings(&self) -> Timings {
        self.lock().world.timings
    }

    /// The times, the profile and the workers, as JSON.
    pub(crate) fn times(&self) -> Value {
        let state = self.lock();
        let mut times = state.world.timings.present();
        state.pace.present(&mut times);
        times
    }

    pub(crate) fn set_times(&self, times: Times) {
        let mut state = self.lock();
        state.world.timings = times.timings;
        if let Some(profile) = times.profile {
            let costs = profile.map(|profile| CostTable::new(profile, &self.router));
            state.pace.set_costs(costs);
        }
        if let Some(workers) = times.workers {
            state.pace.set_workers(workers);
        }
    }

    /// The current profile, as JSON.
    pub(crate) fn profile(&self) -> Value {
        self.lock().pace.profile()
    }

    /// The queue of requests, as JSON.
    pub(crate) fn queue(&self) -> Value {
        self.lock().pace.queue()
    }

    /// The maximum number of requests that have waited for a worker at once.
    pub(crate) fn peak_queue(&self) -> usize {
        self.lock().pace.peak_queue()
    }

    /// The logged requests after a number that match the filter, as JSON.
    pub(crate) fn logged(
        &self,
        number: u64,
        filter: &RequestFilter,
        without_content: bool,
    ) -> Value {
        let state = self.lock();
        let later = state.log.after(number).into_iter();
        let found = later.filter(|request| filter.admits(request));
        if without_content {
            let found: Vec<_> = found.map(|request| request.without_content()).collect();
            serde_json::json!(found)
        } else {
            serde_json::json!(found.collect::<Vec<_>>())
        }
    }

    /// The number of events and requests that were dropped because of limits.
    pub(crate) fn forgotten(&self) -> Value {
        let state = self.lock();
        let mut forgotten = serde_json::json!(state.world.forgotten);
        forgotten["requests"] = serde_json::json!(state.log.forgotten());
        forgotten
    }

    pub(crate) fn forget_log(&self) {
        let mut state = self.lock();
        state.log.clear();
        state.recorded.clear();
    }

    pub(crate) fn verify(&self, verification: &Verification) -> VerificationResult {
        verification.check(&self.lock().log)
    }

    pub(crate) fn stubs(&self) -> Value {
        serde_json::json!(self.lock().stubs.list())
    }

    pub(crate) fn set_stubs(&self, stubs: Vec<Stub>) {
        self.lock().stubs.set(stubs);
    }

    /// The world, its users and their logins, as JSON.
    pub(crate) fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let mut state = self.lock();
        state.world.settle(self.clock.now());
        let taken = state::snapshot(self.settings.dialect, &state.tokens, &state.world);
        taken.map_err(|error| SnapshotError(error.to_string()))
    }

    /// Goes back to a snapshot. The clock does not go back.
    pub(crate) fn restore(&self, json: &[u8]) -> Result<(), SnapshotError> {
        let loaded = state::from_snapshot(json, self.settings.dialect).map_err(SnapshotError)?;
        let mut state = self.lock();
        self.clock
            .advance(loaded.world.now().since(self.clock.now()));
        let timings = state.world.timings;
        state.world = loaded.world;
        state.world.resume(timings, &self.settings);
        state.tokens = loaded.tokens;
        Ok(())
    }

    /// Allows additional worlds.
    pub(crate) fn allow_worlds(&self, worlds: Worlds) {
        *self.worlds() = Some(worlds);
    }

    pub(crate) fn worlds(&self) -> MutexGuard<'_, Option<Worlds>> {
        self.worlds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An access token of a UAA user for the cf CLI. `None` if no user has this name.
    pub(crate) fn token_of(&self, user: &str) -> Result<Option<String>, KeyError> {
        let mut state = self.lock();
        let state = &mut *state;
        let origins = [UAA_ORIGIN.to_owned()];
        let accounts = state.world.accounts_named(user, Some(&origins));
        let (Some(user), Some(client)) = (accounts.first(), state.world.client(CF_CLIENT)) else {
            return Ok(None);
        };
        let holder = TokenOwner::user(&state.world, client, user, "password");
        let (kind, now) = (TokenKind::Access, self.clock.now());
        let lifetime = self.settings.token_lifetime.as_secs();
        let tokens = &mut state.tokens;
        let token = tokens.issue(&holder, kind, now, lifetime, self.base())?;
        Ok(Some(token.text))
    }

    /// The name of the first administrator.
    pub(crate) fn administrator(&self) -> &str {
        let administrator = self.settings.users.iter().find(|user| user.admin);
        administrator.map_or("", |user| user.name.as_str())
    }

    pub(crate) fn expire_tokens(&self) {
        self.lock().tokens.expire();
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub(crate) fn stats(&self) -> Stats {
        self.lock().stats.clone()
    }

    pub(crate) fn state(&self, base: &str) -> Value {
        self.read(|world| present_world(world, base, self.settings.dialect))
    }
}
