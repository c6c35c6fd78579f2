//! Times MobileNetV2 on this machine: `cargo run --release -p salus-kernels --example speed -- [WEIGHTS.safetensors]`.
//!
//! Without a file the weights are random, which takes the same time. With `--serve THREADS BATCH LEVEL INPUT` it obeys
//! `bench/compare_onnxruntime.py`: a line with a number of runs on standard input, a line with their times in nanoseconds
//! back. INPUT is `colour`, whose runs give the features, or `grey`, whose runs give what the classifier asks for: last
//! map, features and taps of grey bytes.

#![expect(clippy::print_stdout, reason = "printing is what it does")]

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, stdin};
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use salus_kernels::{Config, Level, MobileNetV2, peak_flops};

/// Multiply-adds of one image are 300,774,272 (all convolutions, without the classifier).
const FLOPS: f64 = 2.0 * 300_774_272.0;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (file, serve) = match arguments.iter().position(|a| a == "--serve") {
        Some(at) => (arguments.get(..at), arguments.get(at + 1..)),
        None => (arguments.get(..), None),
    };
    let tensors = match file.and_then(<[String]>::first) {
        Some(file) => candle_core::safetensors::load(file, &Device::Cpu)?,
        None => random()?,
    };
    if let Some([threads, batch, level, kind]) = serve {
        let level = Level::named(level).ok_or("this processor has no such level")?;
        let config = Config {
            threads: threads.parse()?,
            level,
        };
        return serve_runs(&tensors, config, Input::named(kind, batch.parse()?)?);
    }

    let level = Level::detect();
    let peak = peak_flops(level);
    println!("level {level}, {:.0} GFLOP/s a core at most", peak / 1e9);
    for threads in [1, 2] {
        for batch in [1, 16] {
            let network = MobileNetV2::new(&tensors, Config { threads, level })?;
            let x = Input::named("colour", batch)?;
            let mut times = runs(&network, &x, 400 / batch)?;
            times.sort();
            let image = |time: Duration| time.as_secs_f64() * 1e3 / batch as f64;
            let median = image(times[times.len() / 2]);
            let share = FLOPS / (median / 1e3) / (peak * threads as f64);
            println!(
                "{threads} threads, batch {batch:2}: median {median:.2} ms an image, best {:.2}; {:.0} % of the peak",
                image(times[0]),
                share * 100.0
            );
        }
    }
    Ok(())
}

/// What the network is shown.
enum Input {
    Colour(Tensor),
    Grey(Vec<u8>),
}

impl Input {
    fn named(kind: &str, batch: usize) -> Result<Self, Box<dyn Error>> {
        match kind {
            "colour" => Ok(Self::Colour(waves(batch)?)),
            "grey" => Ok(Self::Grey(levels().repeat(batch))),
            other => Err(format!("{other:?} is neither \"colour\" nor \"grey\"").into()),
        }
    }
}

/// `sin(0.01 n)` for the flat index `n`, the input of the recorded reference.
fn waves(batch: usize) -> candle_core::Result<Tensor> {
    let values: Vec<f32> = (0..3 * 224 * 224)
        .map(|n| (0.01 * n as f32).sin())
        .collect();
    Tensor::from_vec(values, (1, 3, 224, 224), &Device::Cpu)?.repeat((batch, 1, 1, 1))
}

/// A slanted ramp, which the other side makes by the same rule.
fn levels() -> Vec<u8> {
    let level = |n: u32| u8::try_from((3 * (n % 224) + 5 * (n / 224)) % 256);
    (0..224 * 224).flat_map(level).collect()
}

fn runs(network: &MobileNetV2, x: &Input, count: usize) -> candle_core::Result<Vec<Duration>> {
    (0..count.max(1))
        .map(|_| {
            let start = Instant::now();
            features(network, x)?;
            Ok(start.elapsed())
        })
        .collect()
}

fn features(network: &MobileNetV2, x: &Input) -> candle_core::Result<Tensor> {
    match x {
        Input::Colour(images) => network.pooled(images),
        Input::Grey(pixels) => Ok(network.grey(pixels)?.pooled),
    }
}

/// The blocks whose results' means the image classifier compares with those of its training images.
const TAPS: [usize; 4] = [10, 13, 16, 17];

fn serve_runs(
    tensors: &HashMap<String, Tensor>,
    config: Config,
    x: Input,
) -> Result<(), Box<dyn Error>> {
    let mut network = MobileNetV2::new(tensors, config)?;
    if matches!(x, Input::Grey(_)) {
        network = network.with_taps(&TAPS)?;
    }
    let first = features(&network, &x)?.get(0)?.to_vec1::<f32>()?;
    println!("{first:?}");
    println!("{}", peak_flops(config.level));
    for line in stdin().lock().lines() {
        let times = runs(&network, &x, line?.trim().parse()?)?;
        let nanoseconds: Vec<u128> = times.iter().map(Duration::as_nanos).collect();
        println!("{nanoseconds:?}");
    }
    Ok(())
}

/// Weights of the right shapes, small numbers.
fn random() -> candle_core::Result<HashMap<String, Tensor>> {
    let mut tensors = HashMap::new();
    let mut convolution = |name: String, dims: [usize; 4]| -> candle_core::Result<()> {
        let deviation = (2.0 / (dims[1] * dims[2] * dims[3]) as f32).sqrt();
        let weight = Tensor::randn(0.0f32, deviation, &dims[..], &Device::Cpu)?;
        let bias = Tensor::randn(0.0f32, 0.1, dims[0], &Device::Cpu)?;
        tensors.insert(format!("{name}.weight"), weight);
        tensors.insert(format!("{name}.bias"), bias);
        Ok(())
    };
    convolution("features.0.0".into(), [32, 3, 3, 3])?;
    convolution("features.1.conv.0.0".into(), [32, 1, 3, 3])?;
    convolution("features.1.conv.1".into(), [16, 32, 1, 1])?;
    let (mut inputs, mut block) = (16, 2);
    for (outputs, count) in [(24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1)] {
        for _ in 0..count {
            let hidden = inputs * 6;
            convolution(format!("features.{block}.conv.0.0"), [hidden, inputs, 1, 1])?;
            convolution(format!("features.{block}.conv.1.0"), [hidden, 1, 3, 3])?;
            convolution(format!("features.{block}.conv.2"), [outputs, hidden, 1, 1])?;
            (inputs, block) = (outputs, block + 1);
        }
    }
    convolution("features.18.0".into(), [1280, 320, 1, 1])?;
    Ok(tensors)
}
