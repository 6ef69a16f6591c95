#include "runtime/sources/credentials.h"

#include <string_view>

namespace bitpilot {

std::string without_credentials(const std::string& address) {
  const std::size_t scheme = address.find("://");
  if (scheme == std::string::npos) return address;
  const std::size_t begin = scheme + 3;
  const std::string_view authority =
      std::string_view(address).substr(begin, address.find_first_of("/?#", begin) - begin);
  // A password may hold '@', '/', '?' or '#' that nobody encoded: where there can be one, everything up to the last '@'
  // goes.
  const bool may_hold_one = authority.find_first_of(":@") != std::string_view::npos;
  const std::size_t at = may_hold_one ? address.rfind('@') : std::string::npos;
  const std::size_t host = at == std::string::npos || at < begin ? begin : at + 1;
  const std::size_t end = address.find_first_of("?#", host);
  return address.substr(0, begin) + address.substr(host, end == std::string::npos ? end : end - host);
}

}  // namespace bitpilot
