#include <doctest/doctest.h>
#include <zlib.h>

#include <filesystem>
#include <functional>

#include "data/codecs/decode.h"
#include "data/idx.h"
#include "data/image_set.h"
#include "data/labels.h"
#include "tests/data/errors.h"
#include "tests/data/pictures.h"
#include "tests/support/temporary_folder.h"

namespace bitpilot {
namespace {

using testing::check_error;
using testing::made_up_picture;
using testing::TemporaryFolder;

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string idx_images(int count, int channels = 1) {
  std::vector<std::uint32_t> dimensions{static_cast<std::uint32_t>(count), 28, 28};
  if (channels == 3) dimensions.push_back(3);
  std::string bytes = idx_header(dimensions);
  for (int i = 0; i < count; ++i) bytes += idx_pixels(made_up_picture(28, 28, channels, static_cast<std::uint64_t>(i)));
  return bytes;
}

std::string idx_labels(int count, int classes = 10) {
  std::string bytes = idx_header({static_cast<std::uint32_t>(count)});
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<char>(i % classes));
  return bytes;
}

std::string cifar_records(int count, int label_bytes, int classes) {
  std::string bytes;
  for (int i = 0; i < count; ++i) {
    for (int b = 0; b < label_bytes; ++b) bytes.push_back(static_cast<char>(b + 1 == label_bytes ? i % classes : 1));
    for (const char plane : {'R', 'G', 'B'}) bytes += std::string(1024, plane);
  }
  return bytes;
}

TEST_CASE("data/idx: pictures and labels are read with and without gzip, gray and colour") {
  for (const bool packed : {false, true})
    for (const int channels : {1, 3}) {
      const TemporaryFolder folder;
      const std::string ending = packed ? ".gz" : "";
      const auto maybe = [&](const std::string& bytes) { return packed ? gzip(bytes) : bytes; };
      folder.write((channels == 3 ? "images-idx4-ubyte" : "images-idx3-ubyte") + ending,
                   maybe(idx_images(30, channels)));
      folder.write("labels-idx1-ubyte" + ending, maybe(idx_labels(30)));
      const std::shared_ptr<const ImageSet> set = open_evaluation_set(folder.path(), nullptr);
      REQUIRE(set->size() == 30);
      CHECK(set->image(7) == made_up_picture(28, 28, channels, 7));
      CHECK(set->label(17) == 7);
      CHECK(set->labels().size() == 10);
      CHECK(set->source(17) == (channels == 3 ? "images-idx4-ubyte#17" : "images-idx3-ubyte#17"));
      CHECK(set->uniform());
    }
}

TEST_CASE(
    "data/layouts: an idx folder with train and t10k parts keeps its own test part, and labels.txt names the classes") {
  const TemporaryFolder folder;
  folder.write("train-images-idx3-ubyte", idx_images(100));
  folder.write("train-labels-idx1-ubyte", idx_labels(100, 2));
  folder.write("t10k-images-idx3-ubyte", idx_images(10));
  folder.write("t10k-labels-idx1-ubyte", idx_labels(10, 2));
  folder.write("labels.txt", "cat\ndog\n");
  const DataSplits splits = open_splits(folder.path(), nullptr);
  CHECK(splits.test->size() == 10);
  CHECK(splits.train->size() == 80);
  CHECK(splits.train->labels() == std::vector<std::string>{"cat", "dog"});
  CHECK(open_evaluation_set(folder.path(), nullptr)->size() == 10);
}

TEST_CASE("data/layouts: CIFAR-10 and CIFAR-100 binaries are found, planes become blue-green-red pixels") {
  const TemporaryFolder ten;
  for (int batch = 1; batch <= 5; ++batch)
    ten.write("cifar-10-batches-bin/data_batch_" + std::to_string(batch) + ".bin", cifar_records(8, 1, 10));
  ten.write("cifar-10-batches-bin/test_batch.bin", cifar_records(5, 1, 10));
  const DataSplits splits = open_splits(ten.path(), nullptr);
  CHECK(splits.name == "cifar10");
  CHECK(splits.train->size() + splits.policy->size() + splits.validation->size() == 40);
  CHECK(splits.test->labels()[3] == "cat");
  const Image image = splits.test->image(4);
  CHECK(splits.test->label(4) == 4);
  CHECK((image.pixels[0] == 'B' && image.pixels[1] == 'G' && image.pixels[2] == 'R'));

  const TemporaryFolder hundred;
  hundred.write("train.bin", cifar_records(20, 2, 100));
  hundred.write("test.bin", cifar_records(4, 2, 100));
  const std::shared_ptr<const ImageSet> set = open_evaluation_set(hundred.path(), nullptr);
  CHECK(set->label(3) == 3);  // the fine label, not the coarse one
  CHECK(set->labels().size() == 100);
}

TEST_CASE("data/layouts: an image folder gives its classes in name order, subfolders included, pictures of any size") {
  const TemporaryFolder folder;
  folder.write("dog/b.png", encode_png(made_up_picture(40, 20, 3, 1)));
  folder.write("dog/deep/a.png", encode_png(made_up_picture(9, 30, 1, 2)));
  folder.write("cat/z.PNG", encode_png(made_up_picture(28, 28, 3, 3)));
  folder.write("cat/notes.txt", "no picture");
  folder.write(".hidden/x.png", "junk");
  const std::shared_ptr<const ImageSet> set = open_evaluation_set(folder.path(), decode_file);
  CHECK(set->labels() == std::vector<std::string>{"cat", "dog"});
  REQUIRE(set->size() == 3);
  CHECK(set->source(0) == "cat/z.PNG");
  CHECK(set->source(1) == "dog/b.png");
  CHECK(set->source(2) == "dog/deep/a.png");
  CHECK(set->label(2) == 1);
  CHECK(set->image(1) == made_up_picture(40, 20, 3, 1));
  CHECK(set->image(2) == made_up_picture(9, 30, 1, 2));  // gray stays gray
  CHECK_FALSE(set->uniform());
}

TEST_CASE("data/layouts: class folders named by index count as numbers, and train/ and test/ are parts") {
  const TemporaryFolder folder;
  for (int label = 0; label < 11; ++label)
    for (int i = 0; i < 4; ++i)
      folder.write("train/" + std::to_string(label) + "/" + std::to_string(i) + ".png",
                   encode_png(made_up_picture(8, 8, 1, 1)));
  folder.write("test/10/x.png", encode_png(made_up_picture(8, 8, 1, 1)));
  const DataSplits splits = open_splits(folder.path(), decode_file);
  CHECK(splits.test->size() == 1);
  CHECK(splits.test->labels()[2] == "2");
  CHECK(splits.test->label(0) == 10);
}

TEST_CASE("data/labels: names match by letters and digits, else by index, and an unknown one is named") {
  CHECK(same_label("Ankle boot", "ankle_boot"));
  CHECK_FALSE(same_label("boot", "boots"));
  CHECK(find_label("t-shirt_top", fashion_mnist_labels()) == 0);
  CHECK(find_label("9", fashion_mnist_labels()) == 9);
  CHECK(find_label("10", fashion_mnist_labels()) == -1);
  CHECK(map_labels({"bag", "coat"}, fashion_mnist_labels(), "here") == std::vector<int>{8, 4});
  check_error(ExitCode::kData, {"'sandel'", "did you mean 'sandal'", "here"},
              [] { map_labels({"sandel"}, fashion_mnist_labels(), "here"); });
  CHECK(label_folder("t-shirt/top") == "t-shirt_top");
  CHECK(label_folder("..") == "_..");
}

struct BadData {
  const char* what;
  std::function<void(const TemporaryFolder&)> make;
  std::vector<std::string> says;
};

TEST_CASE("data/layouts: bad data is an error that says what, where and how to mend it") {
  const std::string png = encode_png(made_up_picture(28, 28, 1, 0));
  const auto idx = [](const TemporaryFolder& f, const std::string& images, const std::string& labels) {
    f.write("images-idx3-ubyte", images);
    f.write("labels-idx1-ubyte", labels);
  };
  const std::vector<BadData> table{
      {"an empty folder",
       [](const TemporaryFolder&) {},
       {"no data set found", "train-images-idx3-ubyte", "one folder per class"}},
      {"a folder with other files",
       [](const TemporaryFolder& f) { f.write("readme.txt", "hello"); },
       {"no data set found"}},
      {"pictures without class folders",
       [&](const TemporaryFolder& f) { f.write("a.png", png); },
       {"no data set found", "one folder per class"}},
      {"class folders without pictures",
       [](const TemporaryFolder& f) { f.write("cat/a.txt", "x"); },
       {"no pictures", ".png"}},
      {"a truncated idx file",
       [&](const TemporaryFolder& f) { idx(f, idx_images(9).substr(0, 5000), idx_labels(9)); },
       {"holds 5000 bytes", "7056", "truncated"}},
      {"an idx file cut in its header",
       [&](const TemporaryFolder& f) { idx(f, idx_images(9).substr(0, 7), idx_labels(9)); },
       {"7 bytes", "truncated"}},
      {"an idx file with bytes behind its end",
       [&](const TemporaryFolder& f) { idx(f, idx_images(9) + "x", idx_labels(9)); },
       {"7073 bytes"}},
      {"a wrong magic number",
       [&](const TemporaryFolder& f) { idx(f, "\x01" + idx_images(9), idx_labels(9)); },
       {"not an IDX file of pictures", "00 00 08 03"}},
      {"labels in place of pictures",
       [&](const TemporaryFolder& f) { idx(f, idx_labels(9), idx_labels(9)); },
       {"not an IDX file of pictures"}},
      {"dimensions that overflow",
       [&](const TemporaryFolder& f) {
         idx(f, idx_header({0xffffffffU, 0xffffffffU, 0xffffffffU}), idx_labels(9));
       },
       {"16 bytes"}},
      {"pictures without pixels",
       [&](const TemporaryFolder& f) {
         idx(f, idx_header({9, 0, 28}), idx_labels(9));
       },
       {"9 pictures of 0 x 28"}},
      {"a label file of another length",
       [&](const TemporaryFolder& f) { idx(f, idx_images(9), idx_labels(8)); },
       {"9 pictures, but 8 labels"}},
      {"no labels",
       [&](const TemporaryFolder& f) { f.write("images-idx3-ubyte", idx_images(9)); },
       {"no labels", "labels-idx1-ubyte"}},
      {"no pictures",
       [&](const TemporaryFolder& f) { f.write("labels-idx1-ubyte", idx_labels(9)); },
       {"no pictures", "images-idx3-ubyte"}},
      {"a label out of range",
       [&](const TemporaryFolder& f) {
         idx(f, idx_images(9), idx_labels(9));
         f.write("labels.txt", "a\nb\n");
       },
       {"label 2", "2 classes", "picture 2"}},
      {"a gzip file cut short",
       [&](const TemporaryFolder& f) {
         f.write("images-idx3-ubyte.gz", gzip(idx_images(9)).substr(0, 300));
         f.write("labels-idx1-ubyte", idx_labels(9));
       },
       {"gzip", "truncated"}},
      {"a CIFAR file of a wrong size",
       [](const TemporaryFolder& f) {
         f.write("test_batch.bin", "x");
         f.write("data_batch_1.bin", std::string(100, 'x'));
       },
       {"100 bytes", "3073"}},
      {"a missing CIFAR batch",
       [](const TemporaryFolder& f) { f.write("data_batch_1.bin", cifar_records(2, 1, 10)); },
       {"data_batch_2.bin"}},
      {"a CIFAR label out of range",
       [](const TemporaryFolder& f) {
         for (const char* name :
              {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"})
           f.write(name, cifar_records(11, 1, 11));
         f.write("test_batch.bin", cifar_records(2, 1, 10));
       },
       {"label 10", "10 classes"}},
      {"a folder that is no class",
       [&](const TemporaryFolder& f) {
         f.write("cat/a.png", png);
         f.write("cow/a.png", png);
         f.write("labels.txt", "cat\ndog\n");
       },
       {"'cow'", "2 classes"}},
      {"a class named twice",
       [&](const TemporaryFolder& f) {
         f.write("cat/a.png", png);
         f.write("labels.txt", "cat\ncat\n");
       },
       {"'cat' stands twice", "line 2"}},
      {"a manifest that is no JSON",
       [](const TemporaryFolder& f) { f.write("manifest.jsonl", "{\n"); },
       {"manifest.jsonl, line 1"}},
      {"an empty manifest", [](const TemporaryFolder& f) { f.write("manifest.jsonl", ""); }, {"manifest is empty"}},
  };
  for (const BadData& bad : table) {
    INFO(bad.what);
    const TemporaryFolder folder;
    bad.make(folder);
    std::vector<std::string> says = bad.says;
    says.push_back("\n  where: ");
    says.push_back("\n  fix:   ");
    says.push_back(folder.path());
    check_error(ExitCode::kData, says, [&] { open_evaluation_set(folder.path(), decode_file); });
  }
}

TEST_CASE("data/layouts: a missing folder, or a file in its place, is named") {
  check_error(ExitCode::kData, {"does not exist", "/nowhere/at/all"}, [] { open_splits("/nowhere/at/all", nullptr); });
  const TemporaryFolder folder;
  const std::string file = folder.write("picture.png", "x");
  check_error(ExitCode::kData, {"a file, not a folder", "picture.png"}, [&] { open_splits(file, nullptr); });
}

TEST_CASE("data/layouts: a file that is no picture is named when it is read") {
  const TemporaryFolder folder;
  const std::string png = encode_png(made_up_picture(28, 28, 1, 0));
  folder.write("cat/a.png", "this is no picture");
  folder.write("cat/b.png", png.substr(0, png.size() / 2));
  folder.write("cat/c.png", "");
  const std::shared_ptr<const ImageSet> set = open_evaluation_set(folder.path(), decode_file);
  for (std::size_t i = 0; i < 3; ++i)
    if (i != 1 || set->size() == 3)
      check_error(ExitCode::kData, {"cannot be read", folder.path() + "/" + set->source(i)}, [&] { set->image(i); });
}

}  // namespace
}  // namespace bitpilot
