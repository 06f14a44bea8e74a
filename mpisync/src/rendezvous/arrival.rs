//! What a rank announces to the others when it comes to a meeting.

use crate::error::ObjectCall;
use crate::fingerprint::fingerprint;
use crate::location::CallSite;
use crate::shm::arrival::{
    AnnouncementData, EXIT, FAILED, FINE, PANICKED, PASSED_ON, PAYLOAD_WORDS,
};
use crate::shm::block::ObjectName;

/// The reason why a rank comes to a meeting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// It enters a collective call.
    Enter,
    /// It leaves a collective call.
    Exit = EXIT as isize,
    /// It waits in a fence for a rank that is in the meeting.
    Fenced,
}

/// The outcome of a rank's part in a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Fine,
    Failed(Reason),
    Panicked(Reason),
}

/// Why a rank's part in a call failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reason {
    pub(crate) text: String,
    /// Whether the rank had got the failure of another rank in the same call before, so that it
    /// probably passes that on.
    pub(crate) passed_on: bool,
}
/// A rank's part in a meeting.
pub(crate) struct Arrival<'a> {
    pub(crate) step: Step,
    /// The number of collective calls that it is already in.
    pub(crate) depth: u32,
    /// The object of the call.
    pub(crate) object: &'a ObjectName,
    pub(crate) site: CallSite,
    /// The number of fenced calls that it has made on the controller.
    pub(crate) calls: u64,
    pub(crate) outcome: Outcome,
    /// Data for the other ranks.
    pub(crate) payload: Payload,
}

/// Data that a rank brings to a meeting. The call defines its meaning.
pub(crate) type Payload = [u64; PAYLOAD_WORDS];

/// An empty payload.
pub(crate) const NOTHING: Payload = [0; PAYLOAD_WORDS];

impl<'a> Arrival<'a> {
    /// This rank's announcement.
    pub(super) fn announcement(&'a self, signature: u64) -> AnnouncementData<'a> {
        let failed = |word: u32, reason: &'a Reason| {
            let passed_on = if reason.passed_on { PASSED_ON } else { 0 };
            (word | passed_on, &*reason.text)
        };
        let (outcome, reason) = match &self.outcome {
            Outcome::Fine => (FINE, ""),
            Outcome::Failed(reason) => failed(FAILED, reason),
            Outcome::Panicked(reason) => failed(PANICKED, reason),
        };
        let location = self.site.location();
        AnnouncementData {
            signature,
            step: self.step as u32,
            depth: self.depth,
            outcome,
            line: location.line(),
            calls: self.calls,
            said: self.payload,
            call: self.site.label().into(),
            kind: self.object.kind.into(),
            object: (*self.object.name).into(),
            file: location.file().into(),
            reason: reason.into(),
        }
    }

    /// A number that differs between calls, and between controllers.
    pub(super) fn signature(&self, controller: u64) -> u64 {
        let step = [self.step as u8];
        let parts: [&[u8]; 4] = [
            &controller.to_ne_bytes(),
            &step,
            &self.depth.to_ne_bytes(),
            &self.site.number().to_ne_bytes(),
        ];
        fingerprint(parts.into_iter().flatten())
    }

    /// This rank's call.
    pub(super) fn call(&self) -> ObjectCall {
        self.object.call(self.site.label(), self.site.place())
    }
}
