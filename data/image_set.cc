#include "data/image_set.h"

#include <algorithm>

#include "runtime/core/files.h"

namespace bitpilot {

std::string MemoryImageSet::source(std::size_t i) const {
  return sources.empty() ? std::string(set_name).append("#").append(std::to_string(i)) : sources[i];
}

bool MemoryImageSet::uniform() const {
  return std::all_of(images.begin(), images.end(), [&](const Image& image) {
    const Image& first = images.front();
    return image.height == first.height && image.width == first.width && image.channels == first.channels;
  });
}

std::string MemoryImageSet::hash() const {
  // Chained over blocks, so that no second copy of all pictures is needed.
  constexpr std::size_t kBlock = std::size_t{1} << 20;
  std::string digest, block;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const Image& image = images[i];
    for (const int number : {image.height, image.width, image.channels, image_labels[i]})
      block.append(std::to_string(number)).push_back(';');
    block.append(reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size());
    if (block.size() >= kBlock || i + 1 == images.size()) {
      digest = sha256(digest + block);
      block.clear();
    }
  }
  return "sha256:" + digest;
}

SubsetImageSet::SubsetImageSet(std::shared_ptr<const ImageSet> base, std::vector<std::size_t> indices, std::string name,
                               SubsetKeys keyed)
    : base_(std::move(base)), indices_(std::move(indices)), name_(std::move(name)), keyed_(keyed), keys_(0) {
  for (std::size_t i = 0; i < indices_.size(); ++i) keys_ = std::max(keys_, key(i) + 1);
}

std::string SubsetImageSet::hash() const {
  std::string text = base_->hash();
  for (const std::size_t i : indices_) text.append(",").append(std::to_string(i));
  return "sha256:" + sha256(text);
}

}  // namespace bitpilot
