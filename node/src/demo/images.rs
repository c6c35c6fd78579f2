//! The demo's step about images: what a model says is a signed suggestion, and an image that it does not know is not assessed.

use std::path::Path;

use salus_api::{ApiError, Request, Response, SuggestionState};
use salus_imaging::{Picture, encode_png};

use super::{Clinic, Teller, expect, unexpected};

/// Pixels a side of the test chart.
const SIDE: u32 = 256;

/// A chart as monitors are tested with: no scan of anybody.
pub(super) fn chart() -> Result<Vec<u8>, ApiError> {
    let square = |x: u32, y: u32| {
        if (x / 32 + y / 32).is_multiple_of(2) {
            x.min(255)
        } else {
            255 - y.min(255)
        }
    };
    let places = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y)));
    let levels = places.map(|(x, y)| u8::try_from(square(x, y)).unwrap_or(u8::MAX));
    Picture::grey(SIDE, SIDE, levels.collect())
        .map(|picture| encode_png(&picture))
        .ok_or_else(|| ApiError::failed("the chart cannot be drawn"))
}

/// A physician puts a test chart before the image model by mistake. It is not assessed; both clinics see that it was tried, one
/// rejects it, and nothing of it is in the record.
pub(super) async fn classify(
    root: &Path,
    clinics: &[Clinic],
    patient: &str,
    tell: &mut Teller<'_>,
) -> Result<(), ApiError> {
    let [a, b, ..] = clinics else {
        return Err(ApiError::failed("no clinics"));
    };
    let path = root.join("test-chart.png");
    let chart = chart()?;
    std::fs::write(&path, chart).map_err(|e| crate::folder::io_error("write", &path, &e))?;
    let before = a.show(patient).await?.content;
    let request = Request::Classify {
        path,
        patient: Some(patient.to_owned()),
    };
    let looked = match a.ask(request).await? {
        Response::Classified(looked) => looked,
        other => return Err(unexpected(&other)),
    };
    expect(looked.inference.uncertain, "a test chart is not assessed")?;
    expect(
        looked.heat.is_none(),
        "what is not assessed has no heat map",
    )?;
    let suggestion = looked
        .suggestion
        .ok_or_else(|| ApiError::failed("the answer was not noted"))?;
    a.sync().await?;
    b.sync().await?;
    let seen = b.show(patient).await?.suggestions;
    let seen = seen.iter().find(|seen| seen.id == suggestion);
    expect(
        seen.is_some_and(|seen| seen.state == SuggestionState::Open && seen.label.is_none()),
        "the other clinic sees an answer without a finding",
    )?;
    b.ask(Request::Reject {
        patient: patient.to_owned(),
        suggestion: suggestion.clone(),
        why: "a test chart, not a scan".into(),
    })
    .await?;
    b.sync().await?;
    a.sync().await?;
    let after = a.show(patient).await?;
    let rejected = after.suggestions.iter().find(|one| one.id == suggestion);
    expect(
        rejected.is_some_and(|one| one.state == SuggestionState::Rejected),
        "the rejection has arrived",
    )?;
    expect(after.content == before, "nothing of it is in the record")?;
    tell.done(&format!(
        "a test chart was put before {} {}: not assessed, signed, rejected at the other clinic; nothing entered the record",
        looked.inference.model.name, looked.inference.model.version
    ));
    Ok(())
}
