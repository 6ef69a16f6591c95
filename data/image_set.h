#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/core/image.h"

namespace bitpilot {

/// A labelled set of pictures, in a fixed order.
class ImageSet {
 public:
  virtual ~ImageSet() = default;
  virtual std::string name() const = 0;
  virtual std::size_t size() const = 0;
  virtual Image image(
      std::size_t index) const = 0;  ///< thread-safe.  Throws Error(kData) naming the picture if it cannot be read
  virtual int label(std::size_t index) const = 0;  ///< 0..labels().size() - 1
  virtual const std::vector<std::string>& labels() const = 0;
  /// Where the picture comes from, for manifests and messages ("train-images-idx3-ubyte#17", "ankle_boot/3.png").
  virtual std::string source(std::size_t index) const = 0;
  /// Degradation that the picture already carries (manifest.jsonl), "" and 0 if unknown or clean.
  virtual std::string family(std::size_t) const { return ""; }
  virtual int severity(std::size_t) const { return 0; }
  /// Keys the random draws for a picture (runtime/core/random.h), below keys().  A view of some pictures may hand on the
  /// keys of the set that it shows, so that a picture meets the same draws wherever it is seen.
  virtual std::uint64_t key(std::size_t index) const { return index; }
  virtual std::uint64_t keys() const { return size(); }
  /// Every picture has the same size and channels (so that the set fits an IDX file); false where that would take
  /// reading all of them.
  virtual bool uniform() const { return false; }
  /// "sha256:…" over pixels' bytes (in-memory sets) or over names and sizes (folders).
  virtual std::string hash() const = 0;
};

/// Pictures in memory.
class MemoryImageSet : public ImageSet {
 public:
  std::string set_name;
  std::vector<Image> images;
  std::vector<int> image_labels;
  std::vector<std::string> label_names, sources, families;
  std::vector<int> severities;
  std::string name() const override { return set_name; }
  std::size_t size() const override { return images.size(); }
  Image image(std::size_t i) const override { return images[i]; }
  int label(std::size_t i) const override { return image_labels[i]; }
  const std::vector<std::string>& labels() const override { return label_names; }
  std::string source(std::size_t i) const override;
  bool uniform() const override;
  std::string family(std::size_t i) const override { return families.empty() ? "" : families[i]; }
  int severity(std::size_t i) const override { return severities.empty() ? 0 : severities[i]; }
  std::string hash() const override;
};

/// What the draws for the pictures of a subset are keyed by: their place in it, or what the base keys them by.
enum class SubsetKeys : std::uint8_t { kOwn, kBase };

/// Some pictures of another set, in the order of `indices`.
class SubsetImageSet : public ImageSet {
 public:
  SubsetImageSet(std::shared_ptr<const ImageSet> base, std::vector<std::size_t> indices, std::string name,
                 SubsetKeys keyed);
  std::string name() const override { return name_; }
  std::size_t size() const override { return indices_.size(); }
  Image image(std::size_t i) const override { return base_->image(indices_[i]); }
  int label(std::size_t i) const override { return base_->label(indices_[i]); }
  const std::vector<std::string>& labels() const override { return base_->labels(); }
  std::string source(std::size_t i) const override { return base_->source(indices_[i]); }
  std::string family(std::size_t i) const override { return base_->family(indices_[i]); }
  int severity(std::size_t i) const override { return base_->severity(indices_[i]); }
  std::uint64_t key(std::size_t i) const override { return keyed_ == SubsetKeys::kOwn ? i : base_->key(indices_[i]); }
  std::uint64_t keys() const override { return keys_; }
  bool uniform() const override { return base_->uniform(); }
  std::string hash() const override;

 private:
  std::shared_ptr<const ImageSet> base_;
  std::vector<std::size_t> indices_;
  std::string name_;
  SubsetKeys keyed_;
  std::uint64_t keys_;
};

/// Splits of one data set.  No source picture is in two of them.
struct DataSplits {
  std::string name;
  std::shared_ptr<const ImageSet> train, policy, validation, test;
  std::vector<std::string> warnings;  ///< one line each: a split under 2,000 images, degraded copies
};

/// How to read an image file of a folder; given by data_codecs (imgcodecs) or by the media process.  Returns an empty
/// Image if unreadable.
using DecodeFile = Image (*)(const std::string& path);

/// Opens `spec`: "fashion-mnist" (Debian's package) or a folder whose layout is found by itself:
///   idx         {train,t10k,test}-images-idx3-ubyte and -labels-idx1-ubyte, or images-… and labels-… alone; .gz or
///   not; colour as idx4 cifar10     data_batch_1.bin … data_batch_5.bin, test_batch.bin cifar100    train.bin,
///   test.bin (fine labels) imagefolder one folder per class, named by label or index, pictures of any size below; or
///   such folders below train/ and test/
/// An optional labels.txt names the classes, one a line.  A manifest.jsonl makes it a degraded set (manifest.h).
/// Splits: the set's own test part, or a tenth by hash of the source's name; of the rest one tenth each for policy and
/// validation (at most 5,000 each), by hash of (source), the same for every seed.  A test part made so keeps the keys of
/// the whole set: open_evaluation_set() then gives the same degraded copies of its pictures.  `decode` may be nullptr when no image
/// folder is expected.  Throws Error(kData).
DataSplits open_splits(const std::string& spec, DecodeFile decode);
/// The same for pictures that are open already: `test` may be nullptr.  Throws Error(kData) if there are too few for
/// four splits.
DataSplits split_data(const std::string& name, std::shared_ptr<const ImageSet> pool,
                      std::shared_ptr<const ImageSet> test);
/// The pictures of `spec` as one set for evaluation: its test part if it has one (or its manifest's degraded pictures),
/// else everything.
std::shared_ptr<const ImageSet> open_evaluation_set(const std::string& spec, DecodeFile decode);

}  // namespace bitpilot
