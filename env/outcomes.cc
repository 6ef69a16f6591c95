#include "env/outcomes.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>

#include "env/config_outcomes.h"
#include "env/reward.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/format/model_file.h"

namespace bitpilot {
namespace {

constexpr char kMagic[] = "bitpilot.outcomes/1\n";

template <class T>
void append(std::string& bytes, const T* values, std::size_t count) {
  const std::uint64_t n = count * sizeof(T);
  bytes.append(reinterpret_cast<const char*>(&n), sizeof n);
  bytes.append(reinterpret_cast<const char*>(values), n);
}

/// Reads what append wrote; ok turns false on the first length that does not fit.
class Cursor {
 public:
  explicit Cursor(const std::string& bytes) : bytes_(bytes) {}
  template <class T>
  void take(std::vector<T>& values) {
    std::uint64_t n = 0;
    if (!ok || bytes_.size() - at_ < sizeof n) return void(ok = false);
    std::memcpy(&n, bytes_.data() + at_, sizeof n);
    at_ += sizeof n;
    if (n > bytes_.size() - at_ || n % sizeof(T) != 0) return void(ok = false);
    values.resize(n / sizeof(T));
    if (n > 0) std::memcpy(values.data(), bytes_.data() + at_, n);
    at_ += n;
  }
  bool at_end() const { return at_ == bytes_.size(); }
  bool ok = true;

 private:
  const std::string& bytes_;
  std::size_t at_ = 0;
};

std::string as_lines(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += name + "\n";
  return text;
}

std::vector<std::string> split(const std::vector<char>& text) {
  std::vector<std::string> names;
  std::string name;
  for (const char c : text) {
    if (c != '\n') {
      name += c;
      continue;
    }
    names.push_back(name);
    name.clear();
  }
  return names;
}

}  // namespace

ImageStatistics OutcomeTable::statistics_of(std::size_t sample) const {
  ImageStatistics result;
  std::copy_n(statistics.begin() + static_cast<std::ptrdiff_t>(sample * kStatisticsCount), kStatisticsCount,
              result.values.begin());
  return result;
}

bool OutcomeTable::correct(std::size_t sample, std::size_t anchor) const {
  return top_class(scores_of(sample, anchor)) == labels[sample];
}

OutcomeTable OutcomeTable::rows(std::size_t from, std::size_t to) const {
  OutcomeTable part;
  part.anchors = anchors;
  part.classes = classes;
  part.stem_channels = stem_channels;
  part.families = families;
  const auto cut = [&](const auto& values, std::size_t width) {
    using Values = std::decay_t<decltype(values)>;
    return Values(values.begin() + static_cast<std::ptrdiff_t>(from * width),
                  values.begin() + static_cast<std::ptrdiff_t>(to * width));
  };
  part.scores = cut(scores, anchors * classes);
  part.statistics = cut(statistics, kStatisticsCount);
  part.stem_sums = cut(stem_sums, stem_channels);
  part.labels = cut(labels, 1);
  part.family = cut(family, 1);
  part.severity = cut(severity, 1);
  part.index = cut(index, 1);
  return part;
}

OutcomeTable joined(const OutcomeTable& first, const OutcomeTable& second) {
  if (first.anchors != second.anchors || first.classes != second.classes || first.stem_channels != second.stem_channels)
    throw Error(ExitCode::kBug, "outcomes of different models", "joined", "report this");
  OutcomeTable both = first;
  const auto add = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  add(both.scores, second.scores);
  add(both.statistics, second.statistics);
  add(both.stem_sums, second.stem_sums);
  add(both.labels, second.labels);
  add(both.severity, second.severity);
  add(both.index, second.index);
  for (const std::uint16_t number : second.family) {
    const std::string& name = second.families[number];
    const auto found = std::find(both.families.begin(), both.families.end(), name);
    both.family.push_back(static_cast<std::uint16_t>(found - both.families.begin()));
    if (found == both.families.end()) both.families.push_back(name);
  }
  return both;
}

SampleAt mixed_samples(std::shared_ptr<const ImageSet> set, const Mixture& mixture, const ModelData& model,
                       LoaderOptions options) {
  options.shuffle = false;
  options.augment = false;
  return [set = std::move(set), mixture, shape = model.network.input_shape(), stretch = model.preprocessing.stretch,
          options](std::size_t i) {
    return make_sample(*set, i % set->size(), i / set->size(), mixture, shape, stretch, options);
  };
}

OutcomeTable roll_out(std::shared_ptr<const Model> model, std::size_t count, const SampleAt& sample_at, int threads) {
  const ModelData& data = model->data();
  OutcomeTable table;
  table.anchors = data.anchors.size();
  table.classes = static_cast<std::size_t>(data.network.classes());
  table.stem_channels = static_cast<std::size_t>(data.network.layer(0).shape.channels);
  table.scores.resize(count * table.anchors * table.classes);
  table.statistics.resize(count * kStatisticsCount);
  table.stem_sums.resize(count * table.stem_channels);
  table.labels.resize(count);
  table.family.resize(count);
  table.severity.resize(count);
  table.index.resize(count);
  std::vector<std::string> names(count);
  for_each_sample(model, count, threads, [&](Session& session, std::size_t i) {
    const Sample sample = sample_at(i);
    session.start(sample.prepared.codes);
    const auto sums = session.stem_sums();
    std::copy(sums.begin(), sums.end(), table.stem_sums.begin() + static_cast<std::ptrdiff_t>(i * table.stem_channels));
    std::copy(sample.prepared.statistics.values.begin(), sample.prepared.statistics.values.end(),
              table.statistics.begin() + static_cast<std::ptrdiff_t>(i * kStatisticsCount));
    for (std::size_t k = 0; k < table.anchors; ++k) {
      const auto scores = session.look_anchor(static_cast<int>(k));
      std::copy(scores.begin(), scores.end(),
                table.scores.begin() + static_cast<std::ptrdiff_t>((i * table.anchors + k) * table.classes));
    }
    table.labels[i] = sample.label;
    table.severity[i] = static_cast<std::uint8_t>(sample.severity);
    table.index[i] = static_cast<std::uint32_t>(sample.index);
    names[i] = sample.family;
  });
  std::map<std::string, std::uint16_t> order;  // names in alphabetical order: the same whatever came first
  for (const std::string& name : names) order.emplace(name, 0);
  for (auto& [name, number] : order) {
    number = static_cast<std::uint16_t>(table.families.size());
    table.families.push_back(name);
  }
  for (std::size_t i = 0; i < count; ++i) table.family[i] = order.at(names[i]);
  return table;
}

std::string outcome_key(const ModelData& model, const std::string& samples) {
  ModelData plain = model;
  plain.policy = {};
  plain.budget.clear();
  plain.default_lambda = 0;
  plain.ranges.clear();
  plain.statistics.clear();
  plain.provenance.clear();
  for (Anchor& anchor : plain.anchors) anchor.temperature = 1;
  return sha256(model_bytes(plain)) + " " + samples;
}

void save_outcomes(const OutcomeTable& table, const std::string& key, const std::string& path) {
  std::string bytes = kMagic;
  const std::uint64_t sizes[] = {table.anchors, table.classes, table.stem_channels};
  const std::string families = as_lines(table.families);
  append(bytes, key.data(), key.size());
  append(bytes, sizes, 3);
  append(bytes, families.data(), families.size());
  append(bytes, table.scores.data(), table.scores.size());
  append(bytes, table.statistics.data(), table.statistics.size());
  append(bytes, table.stem_sums.data(), table.stem_sums.size());
  append(bytes, table.labels.data(), table.labels.size());
  append(bytes, table.family.data(), table.family.size());
  append(bytes, table.severity.data(), table.severity.size());
  append(bytes, table.index.data(), table.index.size());
  write_file_atomically(path, bytes);
}

bool load_outcomes(const std::string& path, const std::string& key, OutcomeTable& table) {
  if (!std::filesystem::exists(path)) return false;
  std::string bytes = read_file(path);
  if (!bytes.starts_with(kMagic)) return false;
  bytes.erase(0, std::strlen(kMagic));
  Cursor cursor(bytes);
  std::vector<char> stored_key, families;
  std::vector<std::uint64_t> sizes;
  OutcomeTable read;
  cursor.take(stored_key);
  cursor.take(sizes);
  cursor.take(families);
  cursor.take(read.scores);
  cursor.take(read.statistics);
  cursor.take(read.stem_sums);
  cursor.take(read.labels);
  cursor.take(read.family);
  cursor.take(read.severity);
  cursor.take(read.index);
  if (!cursor.ok || !cursor.at_end() || std::string(stored_key.begin(), stored_key.end()) != key || sizes.size() != 3)
    return false;
  read.anchors = sizes[0];
  read.classes = sizes[1];
  read.stem_channels = sizes[2];
  read.families = split(families);
  const std::size_t n = read.size();
  const bool fits = read.scores.size() == n * read.anchors * read.classes &&
                    read.statistics.size() == n * kStatisticsCount && read.stem_sums.size() == n * read.stem_channels &&
                    read.family.size() == n && read.severity.size() == n && read.index.size() == n;
  if (fits) table = std::move(read);
  return fits;
}

AnchorCosts anchor_costs(const ModelData& model, const CostTable& cost) {
  AnchorCosts result;
  for (const Anchor& anchor : model.anchors) {
    result.first.push_back(cost.cost(anchor.config) / cost.reference());
    result.second.push_back(cost.cost_after_stem(anchor.config) / cost.reference());
  }
  return result;
}

}  // namespace bitpilot
