#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/trace.h"
#include "runtime/format/model_data.h"

namespace bitpilot {

class KernelChoice;
struct Kernels;
struct Packing;

/// A loaded network, immutable and shared by all sessions.  Weights are unpacked once per layer and weight width;
/// switching between images picks pointers, nothing is copied or requantised.
class Model {
 public:
  /// Throws Error(kData) on a bad file.
  static std::shared_ptr<const Model> load(const std::string& path);
  /// The same with kernels that `choose` picks, told what the file holds and its hash().
  using KernelChooser = std::function<KernelChoice(const ModelData&, const std::string& hash)>;
  static std::shared_ptr<const Model> load(const std::string& path, const KernelChooser& choose);
  /// `kernels`: nullptr = active_kernels() (BITPILOT_ISA).  Throws Error(kData) if the parts do not fit each other, or
  /// if anchors calibrate the stem differently: it is computed once for all of them.
  explicit Model(ModelData data, const Kernels* kernels = nullptr);
  /// The same with kernels chosen by layer and bits, as a profile has found them fastest.
  Model(ModelData data, const Kernels* kernels, KernelChoice choice);
  ~Model();
  const ModelData& data() const;
  const Kernels& kernels() const;
  /// What a KernelChoice can choose from for a layer.
  std::vector<Packing> packings(int layer, const LayerBits& bits) const;
  /// "sha256:…" of the file's bytes; empty for a model made in memory.
  const std::string& hash() const;

 private:
  friend class Session;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// One stream's working state: an arena sized once and the plans used so far.  Not thread-safe; make one per thread.
class Session {
 public:
  /// `threads`: of its own, which share the layers of one picture; worth it for big networks only.
  explicit Session(std::shared_ptr<const Model> model, int threads = 1);
  ~Session();
  Session(Session&&) noexcept;

  /// Starts an image: `codes` u8 [height][width][channels] as preprocess() gives them.  Runs the stem.
  void start(std::span<const std::uint8_t> codes);
  /// Sums of the stem's 8-bit codes (behind its max pool, if it has one) over all pixels, [stem channels]; valid until
  /// the next start().
  std::span<const std::int32_t> stem_sums() const;
  /// Runs everything behind the stem at `config` and returns the class scores (before temperature), valid until the
  /// next call. Throws Error(kData) if the configuration does not fit the network.
  std::span<const float> look(const BitConfig& config);
  std::span<const float> look_anchor(int anchor);

  /// start() and look() once more with a clock: adds to seconds[layer] what each layer took.
  void time_layers(std::span<const std::uint8_t> codes, const BitConfig& config, std::span<double> seconds);

  /// Seconds that one layer takes at `config`, on what earlier passes left behind: does its work `times` times.
  double time_layer(const BitConfig& config, int layer, int times);

  /// start() and look() once more, recording every output's codes in the order of fuse() (carry first, then readers in
  /// layer order).
  std::vector<CodeTrace> trace(std::span<const std::uint8_t> codes, const BitConfig& config);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitpilot
