//! x
use candle_core::{Device, Tensor, Var};
use salus_models::imaging::network::*;
use std::time::Instant;
fn main() {
    let b = std::fs::read("/work/shared/weights/mobilenetv2-imagenet/mobilenetv2_1.0_224.safetensors").unwrap();
    let t = salus_models::weights::parse(&b).unwrap();
    let r = salus_models::weights::parse(&std::fs::read("/work/shared/weights/mobilenetv2-imagenet/reference.safetensors").unwrap()).unwrap();
    let n = Network::new(Architecture::standard(1001), t.clone()).unwrap();
    for (k, o) in [("plain", n.forward(&r["input"]).unwrap()), ("fused", n.forward_fused(&r["input"]).unwrap())] {
        let d = (&o.logits - &r["logits"]).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        let e = (&o.embedding - &r["features"]).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        println!("{k} {d} {e}");
    }
    for _ in 0..3 { let s = Instant::now(); n.forward_fused(&r["input"]).unwrap(); println!("fused b1 {:?}", s.elapsed()); }
    let x16 = Tensor::cat(&vec![r["input"].clone(); 16], 0).unwrap();
    for _ in 0..3 { let s = Instant::now(); let st = n.stem_fused(&x16).unwrap(); let a = s.elapsed();
      let f = n.blocks_fused(&st, 0, 7).unwrap(); let b = s.elapsed();
      let f2 = n.blocks_fused(&f, 7, 17).unwrap(); let l = n.last_fused(&f2).unwrap(); Network::pool(&l).unwrap(); println!("fused b16 stem {a:?} 7 {b:?} all {:?}", s.elapsed()); }
    for cut in [13, 10, 7, 3, 0] {
        let mut tv = t.clone(); let mut vars = vec![];
        for (k, v) in tv.iter_mut() { if block_of(k).unwrap() > cut { let var = Var::from_tensor(v).unwrap(); *v = var.as_tensor().clone(); vars.push(var); } }
        let n = Network::new(Architecture::standard(1001), tv).unwrap();
        let (c, side) = n.architecture().map_after(cut);
        let f = Tensor::randn(0f32, 1f32, (16, side, side, c), &Device::Cpu).unwrap();
        for _ in 0..3 {
        let s = Instant::now();
        let m = n.last_fused(&n.blocks_fused(&f, cut, 17).unwrap()).unwrap();
        let lo = n.head(&Network::pool(&m).unwrap()).unwrap();
        let loss = candle_nn::ops::log_softmax(&lo, 1).unwrap().narrow(1, 3, 1).unwrap().mean_all().unwrap().neg().unwrap();
        let fwd = s.elapsed();
        let g = loss.backward().unwrap();
        let missing = vars.iter().filter(|v| g.get(v.as_tensor()).is_none()).count();
        println!("cut {cut} c{c} s{side} bs16 fwd {fwd:?} step {:?} missing {missing} of {}", s.elapsed(), vars.len());
        }
    }
}
