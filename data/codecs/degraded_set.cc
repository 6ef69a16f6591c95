#include "data/codecs/degraded_set.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <thread>

#include "data/codecs/decode.h"
#include "data/codecs/output_folder.h"
#include "data/degrade.h"
#include "data/idx.h"
#include "data/labels.h"
#include "data/manifest.h"
#include "runtime/core/error.h"
#include "runtime/core/random.h"

namespace bitpilot {
namespace {

constexpr std::size_t kChunk = 256;  // pictures degraded at once, then written in order

/// One picture to be written.
struct Job {
  std::size_t index = 0;
  Draw draw;
  int copy = 0;
};

struct Product {
  Image image;
  int label = 0;
  ManifestEntry entry;
  std::string png;
};

/// Copies of one picture: those of a grid, or draws.
std::size_t per_picture(const DegradePlan& plan) {
  const auto copies = static_cast<std::size_t>(plan.copies);
  if (plan.mixture != nullptr) return copies;
  std::size_t kinds = 0;
  for (const std::string& family : plan.families) kinds += family == "clean" ? 1 : plan.severities.size();
  return kinds * copies;
}

Job make_job(const DegradePlan& plan, const ImageSet& set, std::size_t number) {
  const std::size_t each = per_picture(plan);
  Job job{number / each, {}, 0};
  std::size_t rest = number % each;
  if (plan.mixture != nullptr) {
    job.copy = static_cast<int>(rest);
    job.draw = plan.mixture->draw(plan.seed, "degrade", job.index * static_cast<std::size_t>(plan.copies) + rest,
                                  plan.held_out);
    job.draw.seed >>= 11;  // as ManifestEntry::seed
    return job;
  }
  const auto copies = static_cast<std::size_t>(plan.copies);
  for (const std::string& family : plan.families) {
    const std::size_t kinds = (family == "clean" ? 1 : plan.severities.size()) * copies;
    if (rest >= kinds) {
      rest -= kinds;
      continue;
    }
    job.copy = static_cast<int>(rest % copies);
    if (family == "clean") return job;
    job.draw.family = family;
    job.draw.severity = plan.severities[rest / copies];
    const std::string purpose = "degrade/" + set.source(job.index) + "/" + family + "/" + std::to_string(job.copy);
    job.draw.seed = Random(plan.seed, purpose, static_cast<std::uint64_t>(job.draw.severity)).next() >> 11;
    return job;
  }
  return job;
}

Product make_product(const ImageSet& set, const Job& job, bool png) {
  Product product;
  product.image = set.image(job.index);
  ManifestEntry& entry = product.entry;
  entry.source = set.source(job.index);
  entry.family = job.draw.family;
  entry.severity = job.draw.severity;
  entry.seed = job.draw.seed;
  entry.parameters = "{}";
  product.label = set.label(job.index);
  entry.label = set.labels()[static_cast<std::size_t>(product.label)];
  if (entry.severity > 0) {
    entry.parameters =
        degradation_parameters(entry.family, entry.severity, product.image.width, product.image.height).dump();
    product.image = degrade(product.image, entry.family, entry.severity, entry.seed);
  }
  entry.checksum = pixels_checksum(product.image);
  if (!png) return product;
  char name[96];
  std::snprintf(name, sizeof name, "%06zu_%s_%d_%d.png", job.index, entry.family.c_str(), entry.severity, job.copy);
  entry.file = label_folder(entry.label) + "/" + name;
  product.png = encode_png(product.image);
  return product;
}

/// Products of jobs begin .. end - 1, in order, made by `threads` threads.  Rethrows the first failure.
std::vector<Product> make_chunk(const ImageSet& set, const DegradePlan& plan, std::size_t begin, std::size_t end,
                                bool png, int threads) {
  std::vector<Product> products(end - begin);
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(threads));
  const auto work = [&](int thread) {
    try {
      for (std::size_t i = begin + static_cast<std::size_t>(thread); i < end; i += static_cast<std::size_t>(threads))
        products[i - begin] = make_product(set, make_job(plan, set, i), png);
    } catch (...) {
      failures[static_cast<std::size_t>(thread)] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> workers;
    for (int thread = 1; thread < threads; ++thread) workers.emplace_back(work, thread);
    work(0);
  }
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
  return products;
}

void check_set(const ImageSet& set, const DegradePlan& plan, bool png) {
  const auto refuse = [&](const std::string& what, const std::string& fix) {
    throw Error(ExitCode::kUsage, what, set.name(), fix);
  };
  if (planned_pictures(plan, set) == 0)
    refuse("nothing to write: no pictures, families or severities", "name a data set, --families and --severities");
  for (std::size_t i = 0; i < set.size(); ++i)
    if (set.severity(i) > 0) refuse("these pictures are degraded already", "name the set that they were made from");
  if (!png && set.labels().size() > 256)
    refuse("an IDX file holds at most 256 classes, these are " + std::to_string(set.labels().size()), "add --png");
}

void check_distinct_folders(const ImageSet& set) {
  std::vector<std::string> folders;
  for (const std::string& label : set.labels()) {
    folders.push_back(label_folder(label));
    if (std::find(folders.begin(), folders.end() - 1, folders.back()) != folders.end() - 1)
      throw Error(ExitCode::kData, "two classes would share the folder '" + folders.back() + "'", set.name(),
                  "rename one of the classes");
  }
}

}  // namespace

std::size_t planned_pictures(const DegradePlan& plan, const ImageSet& set) {
  return (plan.count == 0 ? set.size() : std::min(plan.count, set.size())) * per_picture(plan);
}

bool write_degraded_set(const ImageSet& set, const DegradePlan& plan, const std::string& out, bool png, int threads,
                        const DegradeProgress& progress) {
  check_set(set, plan, png);
  if (png) check_distinct_folders(set);
  const std::size_t total = planned_pictures(plan, set);
  OutputFolder folder(out);
  std::string labels;
  for (const std::string& label : set.labels()) labels += label + "\n";
  folder.write("labels.txt", labels);
  if (png)
    for (const std::string& label : set.labels()) folder.make_folder(label_folder(label));

  OutputFile images, image_labels;
  OutputFile manifest = folder.open("manifest.jsonl");
  for (std::size_t begin = 0; begin < total; begin += kChunk) {
    if (!progress(begin, total)) return false;
    for (const Product& product : make_chunk(set, plan, begin, std::min(begin + kChunk, total), png, threads)) {
      manifest.write(manifest_line(product.entry));
      if (png) {
        folder.write(product.entry.file, product.png);
        continue;
      }
      const Image& image = product.image;
      if (!images.is_open()) {
        std::vector<std::uint32_t> dimensions{static_cast<std::uint32_t>(total),
                                              static_cast<std::uint32_t>(image.height),
                                              static_cast<std::uint32_t>(image.width)};
        if (image.channels == 3) dimensions.push_back(3);
        images = folder.open(image.channels == 3 ? "images-idx4-ubyte" : "images-idx3-ubyte");
        images.write(idx_header(dimensions));
        image_labels = folder.open("labels-idx1-ubyte");
        image_labels.write(idx_header({static_cast<std::uint32_t>(total)}));
      }
      images.write(idx_pixels(image));
      image_labels.write(std::string(1, static_cast<char>(product.label)));
    }
  }
  if (!png) {
    images.close();
    image_labels.close();
  }
  manifest.close();
  if (!progress(total, total)) return false;
  folder.publish();
  return true;
}

}  // namespace bitpilot
