#include "policy/simulated_batch.h"

#include <algorithm>

namespace bitpilot {

SimulatedBatch simulated_batch(const Shape& input, const SampleAt& sample_at, const std::vector<std::size_t>& rows) {
  std::vector<torch::Tensor> pictures;
  std::vector<std::int64_t> labels;
  for (const std::size_t row : rows) {
    const Sample sample = sample_at(row);
    torch::Tensor picture = torch::empty({input.height, input.width, input.channels}, torch::kUInt8);
    std::copy(sample.prepared.codes.begin(), sample.prepared.codes.end(), picture.data_ptr<std::uint8_t>());
    pictures.push_back(picture.permute({2, 0, 1}));
    labels.push_back(sample.label);
  }
  return {torch::stack(pictures), torch::tensor(labels, torch::kInt64)};
}

}  // namespace bitpilot
