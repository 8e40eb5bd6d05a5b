//! Containers and their notations: FLV with enhanced RTMP headers, AMF0 and AMF3
