//! Trying changes somewhere else.

use super::*;

fn changes(record: &mut Record, count: usize) -> Vec<Incoming> {
    (0..count)
        .map(|n| {
            Incoming::new(
                edit(record, set("phone", &n.to_string())).bytes,
                Scope::Demographics,
                actor(0),
            )
        })
        .collect()
}

#[test]
fn a_job_proves_changes_that_are_then_applied() {
    let (mut a, b) = pair();
    let sent = changes(&mut a, 5);
    let request = trial_request(&b, &sent);
    let response = trial_job(&request);
    assert_eq!(trial_verdict(&response), Ok(TrialVerdict::Holds));
    assert_eq!(trial_job(&request), response);
    let mut asked = 0;
    let mut other = b.clone();
    let part = other.apply_proved(sent, |request| {
        asked += 1;
        Some(trial_job(request))
    });
    assert_eq!((part.held_out, asked), (Vec::new(), 1));
    assert_eq!(other.heads(), a.heads());
    assert_eq!(other.view(), a.view());
}

#[test]
fn what_ends_the_job_is_found_and_held_out_with_what_follows_it() {
    let (mut a, b) = pair();
    let mut c = Record::new(actor(2));
    send(&b, &mut c);
    let mut sent = changes(&mut a, 40);
    let apart = edit(&mut c, set("email", "c@example.org"));
    sent.push(Incoming::new(apart.bytes, Scope::Demographics, actor(2)));
    let culprit = sent[23].bytes.clone();
    let mut asked = 0;
    let mut other = b.clone();
    // A process that dies of one change gives no answer.
    let part = other.apply_proved(sent.clone(), |request| {
        asked += 1;
        let dies = request.windows(culprit.len()).any(|w| w == culprit);
        (!dies).then(|| trial_job(request))
    });
    let held_out: Vec<usize> = part.held_out.iter().map(|(n, _)| *n).collect();
    assert_eq!(held_out, (23..40).collect::<Vec<_>>());
    assert_eq!(part.held_out[0].1, Fault::Engine);
    assert!(matches!(part.held_out[1].1, Fault::Follows { .. }));
    assert!(other.has_change(&apart.hash));
    assert!(asked <= 9, "{asked} requests");

    // One that says which breaks is asked twice; one whose answers are to other requests proves nothing.
    let breaks = |request: &[u8]| {
        let mut answer = trial_job(request);
        let place = sent.iter().position(|c| c.bytes == culprit).unwrap();
        let parts = request.windows(culprit.len()).any(|w| w == culprit);
        let len = answer.len();
        if parts {
            answer[len - 5] = 1;
            answer[len - 4..].copy_from_slice(&u32::try_from(place).unwrap().to_le_bytes());
        }
        Some(answer)
    };
    let only_a = &sent[..40];
    let mut asked = 0;
    let mut record = b.clone();
    record.apply_proved(only_a.to_vec(), |request| {
        asked += 1;
        breaks(request)
    });
    assert_eq!(
        (asked, record.view().content.patient.phone.as_deref()),
        (2, Some("22"))
    );
    let old = trial_job(&trial_request(&b, &[]));
    let mut record = b.clone();
    let part = record.apply_proved(only_a.to_vec(), |_| Some(old.clone()));
    assert_eq!(part.held_out.len(), 40);
    assert_eq!(record.heads(), b.heads());
}

#[test]
fn what_is_judged_unsound_reaches_no_job() {
    let (mut a, b) = pair();
    let mut sent = changes(&mut a, 3);
    sent[0].scope = Some(Scope::Note);
    let mut asked = 0;
    let part = b.clone().apply_proved(sent, |_| {
        asked += 1;
        None
    });
    assert_eq!((part.held_out.len(), asked), (3, 0));
}

#[test]
fn no_bytes_are_a_request_or_a_verdict_by_accident() {
    let (mut a, b) = pair();
    let sent = changes(&mut a, 2);
    let request = trial_request(&b, &sent);
    let response = trial_job(&request);
    for cut in 0..request.len() {
        assert_eq!(
            trial_verdict(&trial_job(&request[..cut])),
            Err(NotAVerdict),
            "{cut}"
        );
    }
    for cut in 0..response.len() {
        assert_eq!(trial_verdict(&response[..cut]), Err(NotAVerdict), "{cut}");
    }
    for at in 0..request.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = request.clone();
            bad[at] ^= flip;
            // A damaged document or length is no request; a damaged change is one that breaks.
            let verdict = trial_verdict(&trial_job(&bad));
            assert_ne!(verdict, Ok(TrialVerdict::Holds), "byte {at}");
        }
    }
    let mut long = request.clone();
    long.push(0);
    assert_eq!(trial_verdict(&trial_job(&long)), Err(NotAVerdict));
    let mut longer = response;
    longer.push(0);
    assert_eq!(trial_verdict(&longer), Err(NotAVerdict));
}

/// `cargo test -p salus-record -- --ignored --nocapture cost_of_a_trial`
#[test]
#[ignore = "prints timings"]
fn cost_of_a_trial() {
    let (mut a, b) = pair();
    let edits = (0..250).map(|n| {
        let mut item = content().observations.remove(0);
        item.id = format!("4f2c1d3e-0000-4000-8000-{n:012}");
        item.note = Some(format!("A remark of a common length, the {n}th of them."));
        Edit::Put(Item::Observation(item))
    });
    a.import(edits.collect(), NOW_MS).unwrap();
    let before = a.clone();
    let one = edit(&mut a, set("phone", "1"));
    let sent = [Incoming::new(one.bytes, Scope::Demographics, actor(0))];
    let time = |what: &str, run: &dyn Fn()| {
        let once = || {
            let begin = std::time::Instant::now();
            run();
            begin.elapsed()
        };
        println!("{what}: {:?}", (0..20).map(|_| once()).min().unwrap());
    };
    let request = trial_request(&before, &sent);
    println!("request: {} bytes", request.len());
    time("request", &|| drop(trial_request(&before, &sent)));
    time("job", &|| drop(trial_job(&request)));
    for trust in [Trust::Own, Trust::Proven, Trust::Foreign] {
        time(&format!("apply one change, {trust:?}"), &|| {
            before.clone().apply(sent.clone(), trust).unwrap();
        });
    }
    // A year of two clinics, rebuilt at once and up to its middle.
    let mut both = [a, b];
    let [a, b] = &mut both;
    exchange(a, b);
    for n in 0..500 {
        edit(a, set("phone", &format!("a{n}")));
        edit(
            b,
            Edit::Put(Item::Condition(condition(
                &format!("c{}", n % 40),
                &n.to_string(),
            ))),
        );
        if n % 20 == 0 {
            exchange(a, b);
        }
    }
    exchange(a, b);
    let all = a.changes_since(&[]);
    for (what, part) in [("all", &all[..]), ("half", &all[..all.len() / 2])] {
        for trust in [Trust::Own, Trust::Proven, Trust::Foreign] {
            time(
                &format!("rebuild, {what}: {} changes, {trust:?}", part.len()),
                &|| {
                    let mut record = Record::new(actor(7));
                    record.apply_what_holds(part.to_vec(), trust);
                },
            );
        }
    }
    time("load of the same", &|| {
        drop(load(&a.save(), actor(7)).unwrap())
    });
    time("concerns of the same", &|| drop(a.concerns()));
}
