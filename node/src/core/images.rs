//! Images by category: answered by the index alone, and logged as a look at every record shown.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use salus_api::{ApiError, ErrorKind, ImageView, ImagesView, SuggestionState};
use salus_audit::{Body, LogId, Right};

use super::attachments::{Attached, What};
use super::suggestions::probability;
use super::{Core, Said, Staff};

/// Images in one answer, at most (a guess: more than anybody looks through).
const MAX_IMAGES: usize = 1_000;

/// The hash of a file's bytes as an inference names it, and its id.
fn by_hash(file: &Attached) -> Option<(String, String)> {
    match &file.what {
        What::Blobs { attachment, .. } => {
            let hash = blake3::Hash::from_bytes(attachment.blake3);
            Some((hash.to_hex().to_string(), attachment.id.clone()))
        }
        _ => None,
    }
}

impl Core {
    /// Images of a category, of one patient or of everybody whose record may be read here; each record shown gets a look.
    pub fn find_images(
        &mut self,
        who: &Staff,
        category: &str,
        patient: Option<LogId>,
    ) -> Result<ImagesView, ApiError> {
        if category.trim().is_empty() {
            return Err(ApiError::usage("a category is needed"));
        }
        let mut view = self.images(category, patient)?;
        view.left_out += view.images.len().saturating_sub(MAX_IMAGES) as u64;
        view.images.truncate(MAX_IMAGES);
        let shown: BTreeSet<LogId> = view
            .images
            .iter()
            .filter_map(|image| image.patient.id.parse().ok())
            .collect();
        let unlogged = self.log_looks(who, &shown, "images of a category shown")?;
        let all = view.images.len();
        view.images.retain(|image| {
            let log = image.patient.id.parse();
            log.is_ok_and(|log| !unlogged.contains(&log))
        });
        view.left_out += (all - view.images.len()) as u64;
        self.name_attachments(&mut view.images)?;
        Ok(view)
    }

    /// Says which of the images are files of their records.
    fn name_attachments(&mut self, images: &mut [ImageView]) -> Result<(), ApiError> {
        let mut files: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for image in images {
            let Ok(log) = image.patient.id.parse() else {
                continue;
            };
            let of_record = match files.entry(image.patient.id.clone()) {
                Entry::Occupied(slot) => slot.into_mut(),
                Entry::Vacant(slot) => {
                    let attached = self.attached(log)?;
                    slot.insert(attached.iter().filter_map(by_hash).collect())
                }
            };
            image.attachment = of_record.get(&image.image).cloned();
        }
        Ok(())
    }

    /// What the index knows, in the order in which it is shown.
    fn images(&mut self, category: &str, patient: Option<LogId>) -> Result<ImagesView, ApiError> {
        self.opened()?;
        let index = self.opened.as_ref().map(|opened| &opened.index);
        let found = index.into_iter().flat_map(|index| index.images(category));
        let me = self.me;
        let mut images: Vec<ImageView> = found
            .filter(|(log, ..)| patient.is_none_or(|patient| patient == *log))
            // A row goes when the right does; should it ever stay behind, it is not shown.
            .filter(|(log, ..)| {
                let right = self.logs.summary(log).and_then(|s| s.right_of(&me));
                right.is_some_and(|right| right >= Right::Read)
            })
            .map(|(log, row, image)| ImageView {
                patient: row.view(log),
                suggestion: image.suggestion.to_string(),
                image: blake3::Hash::from_bytes(image.image).to_hex().to_string(),
                name: image.name.clone(),
                label: image.label.clone(),
                p: image.p.map(probability),
                note: image.note.clone(),
                state: image.state,
                model: image.model.clone(),
                clinic: self.chain_clinic(image.chain),
                time_ms: image.time_ms,
                attachment: None,
            })
            .collect();
        let rank = |state| match state {
            SuggestionState::Accepted => 0,
            SuggestionState::Open | SuggestionState::Disputed => 1,
            SuggestionState::Rejected => 2,
        };
        images.sort_by(|a, b| {
            let p = |image: &ImageView| image.p.unwrap_or(0.0);
            let newest = |image: &ImageView| Reverse(image.time_ms);
            rank(a.state)
                .cmp(&rank(b.state))
                .then(p(b).total_cmp(&p(a)))
                .then_with(|| newest(a).cmp(&newest(b)))
                .then_with(|| a.suggestion.cmp(&b.suggestion))
        });
        Ok(ImagesView {
            images,
            left_out: 0,
        })
    }

    /// Logs a look at each of these records in one transaction, but for those where this person's look of this hour is logged
    /// already. Records that take no entry, because their log is damaged, are returned: they are not to be shown.
    fn log_looks(
        &mut self,
        who: &Staff,
        logs: &BTreeSet<LogId>,
        purpose: &str,
    ) -> Result<BTreeSet<LogId>, ApiError> {
        let body = Body::View {
            purpose: purpose.to_owned(),
        };
        let mut unlogged = BTreeSet::new();
        let mut looks = Vec::new();
        for log in logs {
            // Asked before anything is written: one damaged log must not keep the others from being shown.
            let key = match self.look_is_logged(who, *log) {
                Ok(true) => continue,
                Ok(false) => self.newest_key(*log),
                Err(error) => Err(error),
            };
            match key {
                Ok((epoch, key)) => looks.push((*log, epoch, key)),
                Err(error) if matches!(error.kind, ErrorKind::Integrity | ErrorKind::Refused) => {
                    tracing::warn!(%log, %error, "a record is left out of an answer");
                    unlogged.insert(*log);
                }
                Err(error) => return Err(error),
            }
        }
        if !looks.is_empty() {
            self.transact(|core, pending| {
                for (log, epoch, key) in &looks {
                    let said = Said::Sealed(&body, *epoch, key);
                    core.append(pending, &who.key, *log, None, said)?;
                }
                Ok(())
            })?;
        }
        Ok(unlogged)
    }
}
