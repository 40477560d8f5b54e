# One object per instruction set, each with its own flags and optimised in every build type (kernels at -O0 are
# fifty times slower). The list of ISAs that the program chooses from stands in cpu/dispatch.cpp.
set(isa_options -O3)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # Sums are added up where they are written. Otherwise g++ makes trees of them or puts them off to their last use, where
  # the summands of a tile no longer fit into the registers: integer products took up to 1.4 times as long.
  list(APPEND isa_options -fno-tree-reassoc -fno-tree-ter)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports its own "undefined" vectors in avx512fintrin.h.
  list(APPEND isa_options -Wno-uninitialized -Wno-maybe-uninitialized)
endif()
set(isa_sanitize_options)
if(CARAT_SANITIZE)
  # The kernels' local arrays are registers; watching them as memory takes the compilers many minutes.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    set(isa_sanitize_options -O2 --param=asan-stack=0)
  else()
    set(isa_sanitize_options -O2 -mllvm -asan-stack=0)
  endif()
endif()
list(APPEND isa_options ${isa_sanitize_options})
set(carat_isa_sanitize_options "${isa_sanitize_options}" PARENT_SCOPE)  # for tests that compile kernels in their own way

function(carat_isa name)
  set(source ${CMAKE_SOURCE_DIR}/src/kernels/cpu/isa_${name}.cpp)
  target_sources(carat_kernels PRIVATE ${source})
  set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${isa_options};${ARGN}")
endfunction()

carat_isa(scalar)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  carat_isa(avx2 -mavx2 -mfma -mf16c)
  carat_isa(avxvnni -mavx2 -mfma -mf16c -mavxvnni)
  set(avx512vnni -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni)
  carat_isa(avx512vnni ${avx512vnni})
  carat_isa(avx512bf16 ${avx512vnni} -mavx512bf16)
endif()
