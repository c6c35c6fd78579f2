//! The image model at work on files of a record, where they are kept.

use std::sync::Arc;

use salus_api::{ApiError, ClassifiedView};

use super::bring::to_decode;
use super::is_picture;
use crate::core::{Staff, What};
use crate::node::{Node, blocking};

/// Classifies a file of a record; what the model says becomes a suggestion.
pub async fn classify(
    node: &Arc<Node>,
    who: &Staff,
    patient: String,
    attachment: String,
) -> Result<ClassifiedView, ApiError> {
    let (log, file) = node
        .with_core(move |core| {
            let log = core.patient(&patient)?;
            core.attachment_of_person(log, &attachment)
        })
        .await?;
    let What::Blobs {
        attachment,
        content,
        ..
    } = file.what
    else {
        return Err(ApiError::usage("the file is no image that is kept here"));
    };
    if !is_picture(&attachment.mime) {
        return Err(
            ApiError::usage(format!("{} is no image", attachment.name)).hint(
                "PNG, JPEG, TIFF and DICOM files are classified; `salus attachments PATIENT` shows what each is",
            ),
        );
    }
    let file = to_decode(node, log, (content, &attachment.content)).await?;
    let (looking, name) = (Arc::clone(node), attachment.name.clone());
    let mut view = blocking(move || {
        let classifier = looking.imaging.get(looking.folder.root())?;
        crate::imaging::look_into(&classifier, Arc::new(file), &name)
    })
    .await?;
    let (who, inference) = (who.clone(), view.inference.clone());
    let id = node
        .with_core(move |core| core.infer(&who, log, inference))
        .await?;
    view.suggestion = Some(id.to_string());
    Ok(view)
}
