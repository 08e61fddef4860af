imagefs_fuzz(status SOURCES ${CMAKE_SOURCE_DIR}/tools/ctl_json.c LIBS imagefs_fat imagefs_base)
