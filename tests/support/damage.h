#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/core/random.h"

namespace bitpilot::testing {

/// How many damaged files a test makes of each sound one: `usual`, or what BITPILOT_MUTATIONS says.
inline std::uint64_t damaged_files(std::uint64_t usual) {
  const char* const wanted = std::getenv("BITPILOT_MUTATIONS");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : usual;
}

/// Damages what a reader is fed.  The same index does the same damage to the same contents.
class Damage {
 public:
  explicit Damage(std::uint64_t index) : random_(1, "damage", index) {}

  std::size_t below(std::size_t count) { return static_cast<std::size_t>(random_.below(count)); }

  /// One to three changes: a bit flipped, bytes overwritten, cut out, inserted or repeated, the end cut off.
  std::string bytes(std::string text) {
    for (std::size_t left = 1 + below(3); left > 0; --left) change_bytes(text);
    return text;
  }

  /// One to three changes of values, keys or lengths somewhere in the tree; every key of an object is as likely, however
  /// much stands below it.  A text that holds JSON is mostly changed inside.
  void json(nlohmann::json& value) {
    for (std::size_t left = 1 + below(3); left > 0; --left) {
      nlohmann::json* place = &value;
      while (place->is_structured() && !place->empty() && below(8) != 0) {
        auto child = place->begin();
        std::advance(child, below(place->size()));
        place = &*child;
      }
      change_value(*place);
    }
  }

  /// A damaged text file.  `json_lines`: half of them keep the form of one JSON value a line.
  std::string text(const std::string& sound, bool json_lines) {
    if (!json_lines || below(2) == 0) return bytes(sound);
    std::string text;
    for (std::size_t begin = 0, end = 0; begin < sound.size(); begin = end + 1) {
      end = std::min(sound.find('\n', begin), sound.size());
      nlohmann::json line = nlohmann::json::parse(sound.substr(begin, end - begin));
      if (below(2) == 0) json(line);
      text += line.dump() + "\n";
    }
    return text;
  }

  /// Numbers at which readers stumble.
  nlohmann::json number() {
    static const nlohmann::json list{0,   -1,   1,    2,          7,           9,           16,   64,  255,   256,  4096, 65535,
                                     65536, 1 << 26, 2147483647, 2147483648U, std::int64_t{1} << 53, INT64_MIN, UINT64_MAX,
                                     0.5, -0.5, 1e-320, 1e-45, 1e-30, 1e30, 3e38, 1e39, 1e308, -1e308, 1.0000000001};
    return list[below(list.size())];
  }

 private:
  char any_byte() {
    static constexpr char kTelling[] = {'\0', '\xff', '\x7f', '\x80', ' ', '"', '0', '9', '-', 'e', '.', '[', '{', '\n', '\\'};
    return below(2) == 0 ? kTelling[below(sizeof kTelling)] : static_cast<char>(below(256));
  }

  void change_bytes(std::string& text) {
    if (text.empty()) {
      text.push_back(any_byte());
      return;
    }
    const std::size_t at = below(text.size()), length = std::min(1 + below(16), text.size() - at);
    switch (below(7)) {
      case 0:
      case 1:
        text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 2:
        std::generate_n(text.begin() + static_cast<std::ptrdiff_t>(at), length, [&] { return any_byte(); });
        break;
      case 3:
        text.erase(at, below(8) == 0 ? below(text.size()) : length);
        break;
      case 4:
        text.insert(at, length, any_byte());
        break;
      case 5:
        text.insert(below(text.size()), std::string(text, at, below(8) == 0 ? std::string::npos : length));
        break;
      default:
        if (below(4) == 0) text.resize(at);
        text.push_back(any_byte());
    }
  }

  void change_value(nlohmann::json& value) {
    if (value.is_string() && below(4) != 0) {
      nlohmann::json inside = nlohmann::json::parse(value.get_ref<const std::string&>(), nullptr, /*allow_exceptions=*/false);
      if (inside.is_structured()) {
        json(inside);
        value = inside.dump();
        return;
      }
    }
    if (value.is_number() && below(8) != 0) {
      value = below(4) != 0 ? number() : nlohmann::json(value.get<double>() * (below(2) == 0 ? -1.0 : 1.5));
    } else if (value.is_array() && !value.empty() && below(2) == 0) {
      const std::size_t at = below(value.size());
      if (below(2) == 0)
        value.erase(at);
      else
        value.push_back(nlohmann::json(value[at]));
    } else if (value.is_object() && !value.empty() && below(2) == 0) {
      auto member = value.begin();
      std::advance(member, below(value.size()));
      const std::string key = member.key();
      const nlohmann::json kept = *member;
      if (below(2) == 0) value.erase(key);
      value[key + (below(2) == 0 ? "x" : "")] = below(2) == 0 ? kept : number();
    } else {
      value = other_type();
    }
  }

  nlohmann::json other_type() {
    switch (below(9)) {
      case 0:
        return nullptr;
      case 1:
        return below(2) == 0;
      case 2:
        return "";
      case 3:
        return std::string(1 + below(3000), 'x');
      case 4:
        return "a\nb\x1b[2J";
      case 5:
        return nlohmann::json::array();
      case 6:
        return nlohmann::json::object();
      case 7:
        return nlohmann::json::parse(std::string(40, '[') + std::string(40, ']'));
      default:
        return number();
    }
  }

  Random random_;
};

}  // namespace bitpilot::testing
